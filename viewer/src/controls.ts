// Mouse, touch and keys on the picture.

import type { Camera } from "./camera";

const TURN = 1.5; // radians across the picture
const KEY_TURN = 0.03;
const KEY_MOVE = 0.06;
const KEY_ZOOM = 1.1;

/** Lets a person move the camera; `changed` is called after each move. */
export function attachControls(canvas: HTMLCanvasElement, camera: Camera, changed: () => void): void {
  const pointers = new Map<number, { x: number; y: number }>();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 2) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    const distance = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const width = canvas.clientWidth;
    if (pointers.size === 2) {
      // Two fingers each bring half of a common move.
      camera.move(dx / width, dy / width);
      camera.zoom(Math.max(spread(), 1) / Math.max(distance, 1));
    } else if (event.shiftKey || event.buttons & 6) camera.move((2 * dx) / width, (2 * dy) / width);
    else camera.turn((TURN * dx) / width, (TURN * dy) / width);
    changed();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Within another page the wheel scrolls that until the player is clicked.
      if (window !== parent && !document.hasFocus()) return;
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
      camera.zoom(Math.exp(-0.0015 * Math.min(Math.max(pixels, -300), 300)));
      changed();
    },
    { passive: false },
  );

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    };
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) camera.move(KEY_MOVE * arrow[0], KEY_MOVE * arrow[1]);
    else if (arrow) camera.turn(KEY_TURN * arrow[0], KEY_TURN * arrow[1]);
    else if (event.key === "+" || event.key === "=") camera.zoom(KEY_ZOOM);
    else if (event.key === "-") camera.zoom(1 / KEY_ZOOM);
    else return;
    event.preventDefault();
    changed();
  });
}
