// The rasteriser's formulas as shaders: motion, opacity windows, projection, footprint, colours.

const HEAD = `#version 300 es
precision highp float;
precision highp int;
`;

/** Width of the textures of attributes and of the order, texels. */
export const TEXTURE_WIDTH = 2048;

/** Gaussians of an instance: one each would leave most of a GPU idle. */
export const BATCH = 1024;

/** Variance that the rasteriser adds along both axes, square pixels. */
const LOW_PASS = 0.3;

/** What is shown; the numbers that the shaders know. */
export const MODES = { colour: 0, depth: 1, motion: 2 } as const;

export const SPLAT_VERTEX = `${HEAD}
uniform highp sampler2D texels;
uniform highp usampler2D order;
uniform uint count;
uniform int degree;
uniform uint gridSize;
uniform float time;       // pair time
uniform float share;      // of the fade at a key frame: 0 at its beginning, 1 from its end on
uniform float rate;       // intervals a second
uniform vec2 picture;     // pixels of the whole picture, padding included
uniform vec2 modelPixel;  // sides of a pixel of the model's picture, in half pictures
uniform vec2 zoom;        // the whole picture over the part that is shown
uniform bool perspective;
uniform mat3 rotation;    // of the pinhole camera, and where the world's origin is in it
uniform vec3 shift;
uniform vec2 focal;       // in half widths and half heights of the picture
uniform float near;
uniform int mode;
flat out vec3 conic;
flat out vec4 paint;      // what is blended, and the opacity
out vec2 offset;          // from the centre, pixels

uint index;              // of the Gaussian

vec4 texel(int number) {
  int at = int(index) * (4 + degree) + number;
  return texelFetch(texels, ivec2(at % ${TEXTURE_WIDTH}, at / ${TEXTURE_WIDTH}), 0);
}

float logistic(float v) { return 1.0 / (1.0 + exp(-v)); }

// Hue of a direction: right is red, up is green-yellow, left is cyan, down is violet.
vec3 hue(vec2 direction) {
  float turn = 6.0 * fract(atan(direction.y, direction.x) / 6.2831853);
  return clamp(abs(mod(turn + vec3(0.0, 4.0, 2.0), 6.0) - 3.0) - 1.0, 0.0, 1.0);
}

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  uint rank = uint(gl_InstanceID) * ${BATCH}u + uint(gl_VertexID) / 4u;
  if (rank >= count) return;
  int at = int(rank);
  index = texelFetch(order, ivec2(at % ${TEXTURE_WIDTH}, at / ${TEXTURE_WIDTH}), 0).r;
  vec4 place = texel(0);
  vec4 covar = texel(1);
  vec4 rest = texel(2);
  vec3 color = texel(3).rgb;

  bool isSecond = index >= gridSize;
  bool isFading = index >= 2u * gridSize;
  float tau = isFading ? 0.0 : isSecond ? time - 1.0 : time;
  vec3 mean = place.xyz;
  vec3 velocity = vec3(0.0);
  float power = 1.0;
  for (int j = 0; j < degree; j++) {
    vec3 coefficient = texel(4 + j).xyz;
    velocity += float(j + 1) * power * coefficient;
    power *= tau;
    mean += power * coefficient;
  }
  if (mean.y < 0.0 || mean.y > 1.0) return;
  float slope = rest.z, halfLife = rest.w;
  float opacity = place.w * logistic(-slope * (abs(tau) - halfLife)) / logistic(slope * halfLife);
  if (isFading) opacity = place.w * (1.0 - share);
  else if (isSecond) opacity *= share;
  if (opacity < 1.0 / 255.0) return;

  float depth = 1.0 / (mean.y * 9.8 + 0.2 + 1e-6);
  mat3 sigma = mat3(covar.x, covar.y, covar.z, covar.y, covar.w, rest.x, covar.z, rest.x, rest.y);
  vec2 center;            // x right and z up, in half pictures
  mat3x2 toPicture = mat3x2(1.0, 0.0, 0.0, 0.0, 0.0, 1.0);
  if (perspective) {
    // The lift: every centre projects onto its pixel in a pinhole camera at the origin.
    vec2 across = depth / focal;
    vec3 lifted = vec3(mean.x * across.x, -mean.z * across.y, depth);
    vec3 ray = lifted * ((across.x + across.y) * 0.5 / depth);
    mat3 lift = mat3(across.x, 0.0, 0.0, ray, 0.0, -across.y, 0.0);
    vec3 view = rotation * lifted + shift;
    if (view.z <= near) return;
    center = focal * vec2(view.x, -view.y) / view.z;
    vec2 steep = clamp(center, -1.3, 1.3);
    mat3x2 jacobian = mat3x2(focal.x, 0.0, 0.0, -focal.y, -steep.x, -steep.y);
    toPicture = jacobian * (rotation * lift) / view.z;
    depth = view.z;
  } else {
    center = mean.xz;
  }
  vec2 scale = picture * 0.5;
  toPicture = mat3x2(scale * toPicture[0], scale * toPicture[1], scale * toPicture[2]);
  // The low-pass of the model's pixels, in those of this picture; along no axis less than that of its own.
  vec2 pixelX = toPicture[0] * modelPixel.x, pixelZ = toPicture[2] * modelPixel.y;
  mat2 footprint = toPicture * sigma * transpose(toPicture);
  vec2 lowPass = max(pixelX * pixelX + pixelZ * pixelZ, 1.0);
  float a = footprint[0][0] + ${LOW_PASS} * lowPass.x;
  float b = footprint[0][1] + ${LOW_PASS} * (pixelX.x * pixelX.y + pixelZ.x * pixelZ.y);
  float c = footprint[1][1] + ${LOW_PASS} * lowPass.y;
  float determinant = a * c - b * b;
  if (!(determinant > 0.0)) return;
  conic = vec3(c, -b, a) / determinant;
  float major = 0.5 * (a + c) + length(vec2(0.5 * (a - c), b));
  // Within three deviations of the longer axis, and no farther than where alpha is 1/255.
  vec2 reach = min(vec2(3.0 * sqrt(major)), sqrt(2.0 * log(255.0 * opacity) * vec2(a, c)) + 0.01);

  paint = vec4(color, opacity);
  if (mode == ${MODES.depth}) paint.rgb = vec3(depth, 0.0, 0.0);
  if (mode == ${MODES.motion}) {
    vec2 flow = velocity.xz * rate * vec2(1.0, focal.x / focal.y);
    float speed = length(flow);
    float grey = 0.08 + 0.3 * dot(color, vec3(0.3, 0.6, 0.1));
    paint.rgb = mix(vec3(grey), speed > 0.0 ? hue(flow) : vec3(0.0), speed / (speed + 0.2));
  }
  offset = reach * (2.0 * vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) - 1.0);
  gl_Position = vec4((center + offset / scale) * zoom, 0.0, 1.0);
}`;

export const SPLAT_FRAGMENT = `${HEAD}
flat in vec3 conic;
flat in vec4 paint;
in vec2 offset;
out vec4 blended;

void main() {
  float power = -0.5 * (conic.x * offset.x * offset.x + conic.z * offset.y * offset.y) - conic.y * offset.x * offset.y;
  float alpha = min(0.99, paint.a * exp(min(power, 0.0)));
  if (alpha < 1.0 / 255.0) discard;
  blended = vec4(paint.rgb * alpha, alpha);
}`;

export const SHOW_VERTEX = `${HEAD}
void main() { gl_Position = vec4(4.0 * vec2(gl_VertexID & 1, gl_VertexID >> 1) - 1.0, 0.0, 1.0); }`;

export const SHOW_FRAGMENT = `${HEAD}
uniform highp sampler2D accumulated;
uniform vec3 background;
uniform int mode;
// Level of the mean over the distance between Gaussians; below 0 where the picture is the input camera's.
uniform float level;
out vec4 shown;

// Seventeen samples of the colour map inferno.
const vec3 INFERNO[17] = vec3[17](
  vec3(0.001, 0.000, 0.014),
  vec3(0.042, 0.028, 0.141),
  vec3(0.129, 0.047, 0.291),
  vec3(0.238, 0.037, 0.396),
  vec3(0.342, 0.062, 0.429),
  vec3(0.441, 0.099, 0.432),
  vec3(0.541, 0.135, 0.415),
  vec3(0.640, 0.171, 0.381),
  vec3(0.736, 0.216, 0.330),
  vec3(0.817, 0.271, 0.270),
  vec3(0.890, 0.348, 0.198),
  vec3(0.944, 0.443, 0.120),
  vec3(0.977, 0.551, 0.039),
  vec3(0.988, 0.668, 0.058),
  vec3(0.976, 0.790, 0.196),
  vec3(0.949, 0.910, 0.395),
  vec3(0.988, 0.998, 0.645)
);

vec3 inferno(float level) {
  float at = 16.0 * clamp(level, 0.0, 1.0);
  int low = min(int(at), 15);
  return mix(INFERNO[low], INFERNO[low + 1], at - float(low));
}

void main() {
  vec4 sum = texelFetch(accumulated, ivec2(gl_FragCoord.xy), 0);
  if (level >= 0.0) {
    // Surfaces are covered evenly; between Gaussians the background would shine through as a grid.
    float mean = textureLod(accumulated, gl_FragCoord.xy / vec2(textureSize(accumulated, 0)), level).a;
    sum *= min(mean / max(sum.a, 0.001), 2.0);
  }
  vec3 color = sum.rgb + (1.0 - sum.a) * background;
  if (mode == ${MODES.depth}) color = sum.a > 0.05 ? inferno((sum.a / sum.r - 0.2) / 9.8) : vec3(0.0);
  if (mode == ${MODES.motion}) color = sum.rgb;
  shown = vec4(clamp(color, 0.0, 1.0), 1.0);
}`;
