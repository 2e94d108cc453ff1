// Everything that the page does; nothing but its own files is ever fetched.
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

ort.env.wasm.wasmPaths = {
  wasm: new URL("./vendor/ort-wasm-simd-threaded.wasm", import.meta.url).href,
};
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

const DILATION = 0.01; // of the longer side, as the library's masks have it
const TINT = [230, 60, 90];

const byId = (id) => document.getElementById(id);

/** The photo and what became of it; tests read it. */
const state = { width: 0, height: 0, rgb: null, labels: null, mask: null, filled: null, seconds: 0 };
globalThis.state = state;

let parser, pipeline, classes;

function say(text) {
  byId("status").textContent = text;
}

async function open(model) {
  return ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

/** RGB bytes of RGBA ones, or the other way round with full alpha. */
function repacked(from, channels) {
  const have = 7 - channels;
  const count = from.length / have;
  const to = new Uint8Array(count * channels).fill(255);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) to[channels * i + c] = from[have * i + c];
  }
  return to;
}

async function readPhoto(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  Object.assign(state, {
    width: bitmap.width, height: bitmap.height, rgb: repacked(rgba, 3), filled: null,
  });
  const image = new ort.Tensor("uint8", state.rgb, [1, state.height, state.width, 3]);
  state.labels = (await parser.run({ image })).label_map.data;
}

/** The mask grown by some pixels along one axis. */
function grown(mask, radius, step, length, lines, lineStep) {
  const result = new Uint8Array(mask.length);
  for (let line = 0; line < lines; line++) {
    let last = -Infinity; // the hole pixel last met, walking there and back
    for (const [from, to, direction] of [[0, length, 1], [length - 1, -1, -1]]) {
      last = -direction * Infinity;
      for (let i = from; i !== to; i += direction) {
        const at = line * lineStep + i * step;
        if (mask[at]) last = i;
        if (Math.abs(i - last) <= radius) result[at] = 255;
      }
    }
  }
  return result;
}

function makeMask() {
  const ticked = new Set(
    [...document.querySelectorAll("#classes input:checked")].map((box) => box.value),
  );
  const ids = new Set(classes.filter((one) => ticked.has(one.name)).flatMap((one) => one.label_ids));
  const { width, height } = state;
  const radius = Math.round(DILATION * Math.max(width, height));
  const bare = Uint8Array.from(state.labels, (id) => (ids.has(id) ? 255 : 0));
  const wide = grown(bare, radius, 1, width, height, width);
  state.mask = grown(wide, radius, width, height, width, 1);
}

function draw(canvas, rgb) {
  canvas.width = state.width;
  canvas.height = state.height;
  const pixels = new ImageData(new Uint8ClampedArray(repacked(rgb, 4)), state.width, state.height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function drawMasked() {
  const tinted = state.rgb.slice();
  state.mask.forEach((hole, i) => {
    if (hole) for (let c = 0; c < 3; c++) tinted[3 * i + c] = (tinted[3 * i + c] + TINT[c]) / 2;
  });
  draw(byId("masked"), tinted);
}

function drawResult() {
  const edge = (byId("wipe").value / 100) * state.width;
  const shown = state.filled.slice();
  for (let y = 0; y < state.height; y++) {
    for (let x = Math.ceil(edge); x < state.width; x++) {
      const at = 3 * (y * state.width + x);
      for (let c = 0; c < 3; c++) shown[at + c] = state.rgb[at + c];
    }
  }
  draw(byId("result"), shown);
}

async function offerDownload() {
  const canvas = new OffscreenCanvas(state.width, state.height);
  draw(canvas, state.filled);
  const link = byId("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(await canvas.convertToBlob());
  link.hidden = false;
}

async function fill() {
  byId("fill").disabled = true;
  say("Filling …");
  const { width, height } = state;
  const start = performance.now();
  const output = await pipeline.run({
    image: new ort.Tensor("uint8", state.rgb, [1, height, width, 3]),
    mask: new ort.Tensor("uint8", state.mask, [1, height, width]),
  });
  state.filled = output.composite.data;
  state.seconds = (performance.now() - start) / 1000;
  drawResult();
  await offerDownload();
  say(`Filled in ${state.seconds.toFixed(1)} s.`);
  update();
}

function update() {
  if (!state.rgb) return;
  makeMask();
  drawMasked();
  byId("fill").disabled = !state.mask.includes(255);
}

/** Run what an event asks for, and say what went wrong. */
function handled(work) {
  return async (event) => {
    try {
      await work(event);
    } catch (error) {
      say(`That did not work: ${error.message ?? error}`);
    }
  };
}

async function choosePhoto(event) {
  const [file] = event.target.files;
  if (!file) return;
  say("Looking for the parts of the face …");
  await readPhoto(file);
  update();
  say("Tick what to hide.");
}

async function chooseNetwork(event) {
  const [file] = event.target.files;
  if (!file) return;
  say("Loading the network …");
  const other = await open(new Uint8Array(await file.arrayBuffer()));
  if (!other.outputNames.includes("composite")) {
    throw new Error("this is no pipeline.onnx of facemask-inpaint export");
  }
  pipeline = other;
  say(`${file.name} is loaded.`);
}

async function start() {
  classes = await (await fetch("models/classes.json")).json();
  for (const one of classes) {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: one.name });
    label.append(box, ` ${one.title}`);
    byId("classes").append(label);
  }
  [parser, pipeline] = [await open("models/parser.onnx"), await open("models/lite.onnx")];
  byId("classes").addEventListener("change", handled(update));
  byId("photo").addEventListener("change", handled(choosePhoto));
  byId("network").addEventListener("change", handled(chooseNetwork));
  byId("fill").addEventListener("click", handled(fill));
  byId("wipe").addEventListener("input", () => state.filled && drawResult());
  state.ready = true;
  say("Choose a photo.");
}

handled(start)();
