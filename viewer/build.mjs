// Builds the player: one HTML file with style, script and worker inside, which needs nothing else.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const output = process.argv[2] ?? new URL("../core/viewer/assets/player.html", here);

async function bundle(entry, define = {}) {
  const result = await build({
    absWorkingDir: here.pathname,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    charset: "ascii",
    format: "iife",
    target: ["chrome100", "firefox105", "safari16.4"],
    define,
    write: false,
  });
  return result.outputFiles[0].text.trim();
}

const worker = await bundle("src/worker.ts");
const script = await bundle("src/player.ts", { WORKER_SOURCE: JSON.stringify(worker) });
const style = await bundle("src/player.css");
const page = await readFile(new URL("src/page.html", here), "utf8");
const parts = { "/*style*/": style, "/*script*/": script.replaceAll("</script", "<\\/script") };
const built = Object.entries(parts).reduce((text, [mark, part]) => text.replace(mark, () => part), page);
await writeFile(output, built);
