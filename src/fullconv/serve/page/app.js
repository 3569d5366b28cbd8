// The page of a fullconv service: an image in, its classes drawn over it. No library, no build step.
//
// Sections: files (PNG and zip, exact) · service (requests) · state · pictures (open, segment) · drawing · legend and readout
// · moving · correcting · saving · data set · explorer · start. Sizes are in pixels of the image unless a name says "screen".
'use strict';

const $ = (id) => document.getElementById(id);
const VOID = 255;                        // the label of pixels without ground truth
const VOID_COLOR = [224, 224, 192];
const percent = (share) => share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`;
const listen = (id, event, act) => $(id).addEventListener(event, act);
const make = (tag, text = '', more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });

/* ------------------------------------------------------------------------------------------------ files
   A browser turns a palette PNG into colours; labels are the numbers behind them, so PNG is read and written here. */

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Return {width, height, values}: the number of each pixel of a PNG with one channel of at most 8 bits. */
async function readPng(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(bytes.buffer), packed = [];
  let width = 0, height = 0, depth = 0;
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at), kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8)), data = at + 8;
    if (kind === 'IHDR') {
      [width, height, depth] = [view.getUint32(data), view.getUint32(data + 4), bytes[data + 8]];
      if (![0, 3].includes(bytes[data + 9]) || depth > 8 || bytes[data + 12]) throw new Error('the service sent a PNG of another kind');
    }
    if (kind === 'IDAT') packed.push(bytes.subarray(data, data + length));
    at += length + 12;
  }
  const rows = await through(new DecompressionStream('deflate'), await new Blob(packed).arrayBuffer());
  return { width, height, values: unpack(unfilter(rows, height, Math.ceil(width * depth / 8)), width, height, depth) };
}

function unfilter(rows, height, stride) {
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const kind = rows[y * (stride + 1)], from = y * (stride + 1) + 1, to = y * stride;
    for (let x = 0; x < stride; x++) {
      const left = x ? out[to + x - 1] : 0, up = y ? out[to + x - stride] : 0, corner = x && y ? out[to + x - stride - 1] : 0;
      let guess = [0, left, up, (left + up) >> 1, 0][kind];
      if (kind === 4) {
        const sum = left + up - corner, a = Math.abs(sum - left), b = Math.abs(sum - up), c = Math.abs(sum - corner);
        guess = a <= b && a <= c ? left : b <= c ? up : corner;
      }
      out[to + x] = rows[from + x] + guess;
    }
  }
  return out;
}

function unpack(rows, width, height, depth) {
  if (depth === 8) return rows;
  const out = new Uint8Array(width * height), stride = rows.length / height, mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    out[y * width + x] = (rows[y * stride + ((x * depth) >> 3)] >> (8 - depth - (x * depth) % 8)) & mask;
  }
  return out;
}

/** Return a palette PNG as a Blob: the pixels are `labels`, and their colours those of `classes` and of void. */
async function writePng(width, height, labels, classes) {
  const header = new Uint8Array(13), palette = new Uint8Array(768), rows = new Uint8Array((width + 1) * height);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, 3, 0, 0, 0], 8);
  palette.set(VOID_COLOR, 3 * VOID);
  for (const { id, color } of classes) palette.set(color, 3 * id);
  for (let y = 0; y < height; y++) rows.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = await through(new CompressionStream('deflate'), rows);
  const parts = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10])];
  for (const [kind, data] of [['IHDR', header], ['PLTE', palette], ['IDAT', packed], ['IEND', new Uint8Array(0)]]) {
    const chunk = new Uint8Array(12 + data.length), view = new DataView(chunk.buffer);
    view.setUint32(0, data.length);
    chunk.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
    chunk.set(data, 8);
    view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
    parts.push(chunk);
  }
  return new Blob(parts, { type: 'image/png' });
}

/** Return a zip of [name, Uint8Array] pairs, stored as they are: images and PNG are packed already. */
function zip(files) {
  const parts = [], index = [];
  let at = 0;
  for (const [name, data] of files) {
    const title = new TextEncoder().encode(name), head = new DataView(new ArrayBuffer(46)), sum = crc32(data);
    const common = (start) => {          // what the local and the central header share
      head.setUint16(start, 20, true); head.setUint16(start + 2, 0x800, true); head.setUint16(start + 8, 0x21, true);
      head.setUint32(start + 10, sum, true); head.setUint32(start + 14, data.length, true);
      head.setUint32(start + 18, data.length, true); head.setUint16(start + 22, title.length, true);
    };
    head.setUint32(0, 0x04034b50, true);
    common(4);
    parts.push(new Uint8Array(head.buffer.slice(0, 30)), title, data);
    new Uint8Array(head.buffer).fill(0);
    head.setUint32(0, 0x02014b50, true); head.setUint16(4, 20, true); head.setUint32(42, at, true);
    common(6);
    index.push(new Uint8Array(head.buffer), title);
    at += 30 + title.length + data.length;
  }
  const size = index.reduce((sum, part) => sum + part.length, 0), end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true); end.setUint16(8, files.length, true); end.setUint16(10, files.length, true);
  end.setUint32(12, size, true); end.setUint32(16, at, true);
  return new Blob([...parts, ...index, end.buffer], { type: 'application/zip' });
}

function save(blob, name) {
  const link = make('a', '', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/* ------------------------------------------------------------------------------------------------ service */

const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));

/** Ask the service; wait and ask again while it is busy; throw its own sentence when it refuses. */
async function ask(address, options = {}, tries = 6) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error('The service does not answer; is it still running?');
  }
  if (answer.ok) return answer;
  if ([429, 503].includes(answer.status) && tries > 1) {
    const seconds = Math.min(Number(answer.headers.get('Retry-After')) || 1, 20);
    say(`The service is busy; trying again in ${seconds} s.`);
    await pause(seconds);
    return ask(address, options, tries - 1);
  }
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.detail || `The service answered ${answer.status}.`);
}

const askJson = async (address) => (await ask(address)).json();
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== '' && value != null)).toString();

function segment(picture, source, more) {
  const { model, head } = source;
  return ask(`v1/segment?${query({ model, head, refine: $('refine').checked ? 1 : '', ...more })}`,
    { method: 'POST', body: picture.blob, headers: { 'Content-Type': 'application/octet-stream' } });
}

/* ------------------------------------------------------------------------------------------------ state */

const state = {
  room: 'segment', sources: [], pictures: [], picture: null, source: '', other: '', mode: 'overlay', opacity: 0.55,
  outlines: false, swipe: 0.5, hidden: new Set(), hiddenFor: '', scale: 1, left: 0, top: 0, cross: null, tool: 'look', corners: [], turn: 0,
};
const canvas = $('canvas'), screen = canvas.getContext('2d');

const say = (text) => { $('status').textContent = text; };
const complain = (error) => { $('problem').textContent = error ? error.message || String(error) : ''; };
const sourceOf = (key) => state.sources.find((source) => source.key === key);
const result = (key = state.source) => state.picture?.results.get(key);
const nameOf = (labels, label) => label === VOID ? 'no ground truth' : labels.classes.find(({ id }) => id === label)?.name ?? `class ${label}`;
const colorOf = (labels, label) => labels.classes.find(({ id }) => id === label)?.color ?? VOID_COLOR;
const stemOf = (name) => name.split(/[\\/]/).pop().replace(/\.[^.]*$/, '') || 'image';

/** Run something that may fail, with the bar that shows that work is done; what went wrong is shown. */
async function busy(act) {
  complain(null);
  $('busy').hidden = false;
  try {
    return await act();
  } catch (error) {
    complain(error);
    say('');
    return undefined;
  } finally {
    $('busy').hidden = true;
  }
}

/* ------------------------------------------------------------------------------------------------ pictures */

async function openFiles(files) {
  const images = [...files].filter((file) => file.type.startsWith('image/') || /\.(tiff?|jpe?g|png|webp|bmp|gif|avif)$/i.test(file.name));
  if (!images.length) return complain(`${files[0]?.name ?? 'That'} is no image; open a photograph such as JPEG, PNG, WebP or TIFF.`);
  const opened = images.map((file) => ({ name: file.name || `pasted-${state.pictures.length + 1}.png`, blob: file, results: new Map() }));
  state.pictures.push(...opened);
  if (state.room === 'data') enter('segment');
  return show(opened[0]);
}

async function show(picture) {
  const turn = ++state.turn;             // an image opened meanwhile wins
  finishPolygon(false);
  state.picture = picture;
  state.cross = null;
  await busy(async () => {
    say(`Reading ${picture.name} …`);
    if (!picture.bitmap && !picture.unseen) await readPicture(picture);
    if (turn !== state.turn) return;
    fit();
    film();
    if (!available(picture).some(({ key }) => key === state.source)) state.source = available(picture)[0]?.key ?? '';
    await refresh();
  });
}

async function readPicture(picture) {
  if (!picture.blob) picture.blob = await (await ask(`v1/view/${picture.id}/image`)).blob();
  try {
    picture.bitmap = await createImageBitmap(picture.blob);
    [picture.width, picture.height] = [picture.bitmap.width, picture.bitmap.height];
  } catch {
    picture.unseen = true;               // TIFF, say: the service reads it, the browser does not
  }
}

const corrected = { key: 'corrected', title: 'my correction' };
const titleOf = (key) => [...state.sources, corrected, { key: 'image', title: 'the image' }].find((source) => source.key === key)?.title ?? '';

function available(picture = state.picture) {
  if (!picture) return state.sources;
  const own = picture.results.has('corrected') ? [corrected] : [];
  return [...state.sources.filter((source) => source.view ? picture.id != null : source.model && picture.id == null), ...own];
}

/** Fetch what is chosen and is not there yet, then draw. */
async function refresh() {
  const turn = state.turn, { picture } = state;
  choices();
  if (!picture) return draw();
  for (const key of [state.source, state.other]) {
    if (!key || key === 'image' || picture.results.has(key)) continue;
    say(`${sourceOf(key).title}: working on ${picture.name} …`);
    const found = await fetchLabels(picture, sourceOf(key));
    picture.results.set(key, found);
    if (picture.unseen && !picture.width) [picture.width, picture.height] = [found.width, found.height];
  }
  if (['confidence', 'entropy'].includes(state.mode)) await fetchMap(state.mode);
  if (turn !== state.turn) return undefined;
  if (picture.unseen) { fit(); say('This browser cannot show the image itself; its classes are right all the same.'); }
  afterResult();
  if (state.mode === 'overlay' && sourceOf(state.source)?.sure) fetchMap('confidence').then(readout, () => {}); // for the readout
  return undefined;
}

async function fetchLabels(picture, source) {
  const began = performance.now();
  const answer = source.view ? await ask(`v1/view/${picture.id}/${source.view}`) : await segment(picture, source, { format: 'png' });
  const png = await answer.blob(), { width, height, values } = await readPng(await png.arrayBuffer());
  const seconds = Number(answer.headers.get('X-Fullconv-Seconds')) || (performance.now() - began) / 1000;
  return { labels: values, width, height, classes: source.classes, png, seconds, version: 0 };
}

/** Fetch confidence or entropy of the chosen source once. */
async function fetchMap(kind) {
  const { picture } = state, found = result(), source = sourceOf(state.source);
  if (!found || found[kind] || !source?.sure) return;
  found[kind] = new Uint8Array(0);       // on its way
  try {
    const answer = source.view ? await ask(`v1/view/${picture.id}/${kind}`) : await segment(picture, source, { format: kind });
    found[kind] = (await readPng(await answer.arrayBuffer())).values;
    draw();
  } catch (error) {
    delete found[kind];
    throw error;
  }
}

function afterResult() {
  const found = result(), { picture } = state;
  if (found && state.hiddenFor !== state.source) hideBackground(found);
  if (found && picture) {
    if (!picture.unseen && (found.width !== picture.width || found.height !== picture.height)) {
      complain(`The browser shows ${picture.width} × ${picture.height} pixels and the result has ${found.width} × ${found.height}; it is drawn stretched and cannot be corrected here.`);
    }
    say(`${picture.name}: ${picture.width} × ${picture.height} pixels${found.seconds ? `, ${found.seconds.toFixed(2)} s` : ''}.`);
  }
  choices();
  legend();
  describe();
  draw();
  readout();
}

/** What is left over would darken the whole image: it is not drawn until somebody asks for it. */
function hideBackground({ classes }) {
  state.hiddenFor = state.source;
  state.hidden = new Set(classes.filter(({ name }) => /background|^bg$/i.test(name)).map(({ id }) => id));
}

/** Bring menus and buttons to what there is. */
function choices() {
  const there = available();
  fill($('source'), there.map(({ key, title }) => [key, title]), state.source);
  fill($('other'), [['', 'nothing'], ['image', 'the image'], ...there.filter(({ key }) => key !== state.source).map(({ key, title }) => [key, title])], state.other);
  state.other = $('other').value;
  const found = result(), editing = state.source === 'corrected', same = found && found.width === state.picture.width;
  $('swipe-row').hidden = !state.other || state.mode === 'differences' || state.room === 'explorer';
  $('empty').hidden = Boolean(state.picture) || state.room === 'explorer';
  [$('swipe-left').textContent, $('swipe-right').textContent] = [state.source, state.other].map(titleOf);
  $('refine').disabled = !sourceOf(state.source)?.model;
  $('correct').disabled = !same || editing;
  $('tools').hidden = !editing;
  for (const id of ['save-labels', 'save-view', 'legend-all']) $(id).disabled = !found;
  $('save-json').disabled = !found || !sourceOf(state.source)?.model;
  $('save-mask').disabled = !editing;
  const count = state.pictures.filter((picture) => picture.results.has('corrected')).length;
  $('save-zip').disabled = !count;
  $('save-zip').textContent = count > 1 ? `All ${count} corrections (zip)` : 'All corrections (zip)';
  $('undo').disabled = !state.picture?.undo?.length;
  $('redo').disabled = !state.picture?.redo?.length;
  $('scale').hidden = !['confidence', 'entropy'].includes(state.mode);
  $('scale-text').textContent = SCALES[state.mode] ?? '';
  for (const radio of document.querySelectorAll('input[name="mode"]')) {
    radio.checked = radio.value === state.mode;
    if (radio.value === 'differences') radio.disabled = !result(state.other);
    if (['confidence', 'entropy'].includes(radio.value)) radio.disabled = !sourceOf(state.source)?.sure;
  }
}

const SCALES = {
  confidence: 'Confidence from 0 (dark) to 100 % (light): the probability of the class that was chosen.',
  entropy: 'Entropy from 0 (dark: one class is certain) to 1 (light: all are equally likely).',
};

function fill(menu, options, chosen) {
  menu.replaceChildren(...options.map(([value, text]) => make('option', text, { value })));
  menu.value = chosen;
  if (menu.selectedIndex < 0) menu.selectedIndex = 0;
}

function film() {
  $('film').hidden = state.pictures.length < 2;
  $('film').replaceChildren(...state.pictures.map((picture) => {
    const item = make('li'), button = make('button', picture.name, { type: 'button' });
    button.setAttribute('aria-current', picture === state.picture);
    button.addEventListener('click', () => show(picture));
    item.append(button);
    return item;
  }));
}

/* ------------------------------------------------------------------------------------------------ drawing */

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 144, 141], [93, 201, 99], [253, 231, 37]];
const HEAT = Array.from({ length: 256 }, (_, n) => {
  const at = n / 255 * 4, low = Math.min(Math.floor(at), 3);
  return VIRIDIS[low].map((value, k) => value + (at - low) * (VIRIDIS[low + 1][k] - value));
});

const settingsOf = (found) =>
  [state.mode, state.outlines, [...state.hidden].join(), found.version, state.other, Boolean(found[state.mode]?.length)].join('|');

/** Return a canvas that holds what a result shows, painted once for its settings. */
function layer(found, key) {
  const settings = settingsOf(found);
  if (found.painted?.settings === settings) return found.painted.canvas;
  const sheet = new OffscreenCanvas(found.width, found.height), pen = sheet.getContext('2d');
  const image = pen.createImageData(found.width, found.height);
  if (['confidence', 'entropy'].includes(state.mode) && found[state.mode]?.length) paintHeat(image.data, found[state.mode]);
  else if (state.mode === 'differences' && result(state.other) && key === state.source) paintDifferences(image.data, found, result(state.other));
  else paintLabels(image.data, found, [0, 0, found.width, found.height]);
  pen.putImageData(image, 0, 0);
  found.painted = { settings, canvas: sheet };
  return sheet;
}

const word = ([red, green, blue], alpha = 255) => new Uint32Array(new Uint8Array([red, green, blue, alpha]).buffer)[0];
const HEAT_WORDS = Uint32Array.from(HEAT, (color) => word(color));

function paintHeat(data, values) {
  const words = new Uint32Array(data.buffer);
  for (let i = 0; i < values.length; i++) words[i] = HEAT_WORDS[values[i]];
}

/** Red where two maps differ, dark where they agree, pale where one has no ground truth. */
function paintDifferences(data, found, other) {
  const words = new Uint32Array(data.buffer), [same, wrong, unknown] = [word([0, 0, 0], 110), word([235, 40, 40], 230), word(VOID_COLOR, 220)];
  for (let i = 0; i < found.labels.length; i++) {
    const a = found.labels[i], b = other.labels[i];
    words[i] = a === VOID || b === VOID ? unknown : a === b ? same : wrong;
  }
}

/** Paint a box [left, top, width, height] of the labels. */
function paintLabels(data, { labels, width, height, classes }, [left, top, columns, rows]) {
  const table = new Uint32Array(256), words = new Uint32Array(data.buffer);
  for (const { id, color } of [...classes, { id: VOID, color: VOID_COLOR }]) if (!state.hidden.has(id)) table[id] = word(color);
  const reach = Math.max(1, Math.round(Math.max(width, height) / 700));   // of outlines, to be seen at the size of a screen
  for (let y = top, to = 0; y < top + rows; y++) for (let x = left; x < left + columns; x++, to++) {
    const i = y * width + x, own = labels[i];
    if (!state.outlines) { words[to] = table[own]; continue; }
    for (let k = 1; k <= reach; k++) {
      if ((x >= k && labels[i - k] !== own) || (x + k < width && labels[i + k] !== own)
        || (y >= k && labels[i - k * width] !== own) || (y + k < height && labels[i + k * width] !== own)) { words[to] = table[own]; break; }
    }
  }
}

/** After a change of labels inside a box: paint it alone, as large images take long to paint whole. */
function repaint(found, left, top, right, bottom) {
  const painted = found.painted, fresh = painted?.settings === settingsOf(found);
  found.version++;
  if (!fresh || state.outlines || !['overlay', 'classes'].includes(state.mode)) return;
  const x = Math.max(0, left), y = Math.max(0, top), columns = Math.min(found.width, right + 1) - x, rows = Math.min(found.height, bottom + 1) - y;
  if (columns > 0 && rows > 0) {
    const pen = painted.canvas.getContext('2d'), image = pen.createImageData(columns, rows);
    paintLabels(image.data, found, [x, y, columns, rows]);
    pen.putImageData(image, x, y);
  }
  painted.settings = settingsOf(found);
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawNow(); });
}

function drawNow() {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  screen.setTransform(ratio, 0, 0, ratio, 0, 0);
  screen.clearRect(0, 0, width, height);
  const { picture, other, swipe } = state, split = state.left + swipe * (picture?.width ?? 0) * state.scale;
  const both = other && state.mode !== 'differences' && state.room !== 'explorer';
  if (picture) {
    if (both) {
      drawView(state.source, [0, split], height);
      drawView(other, [split, width], height);
      drawDivider(split, height);
    } else drawView(state.room === 'explorer' ? 'image' : state.source, [0, width], height);
  }
  if (state.room === 'explorer') drawExplorer();
  else if (picture) drawTool();
  if (state.cross) drawCross();
}

function drawView(key, [from, to], height) {
  const { picture, scale, left, top, mode } = state, found = result(key);
  screen.save();
  screen.beginPath();
  screen.rect(from, 0, Math.max(0, to - from), height);
  screen.clip();
  screen.translate(left, top);
  screen.scale(scale, scale);
  screen.imageSmoothingEnabled = scale < 3;
  if (picture.bitmap && (mode !== 'classes' || key === 'image' || !found)) screen.drawImage(picture.bitmap, 0, 0);
  if (found && mode !== 'image') {
    screen.imageSmoothingEnabled = scale < 1;
    screen.globalAlpha = mode === 'overlay' && !(state.outlines) ? state.opacity : 1;
    screen.drawImage(layer(found, key), 0, 0, picture.width, picture.height);
  }
  screen.restore();
}

function drawDivider(split, height) {
  screen.fillStyle = '#fff';
  screen.fillRect(split - 1.5, 0, 3, height);
  screen.strokeStyle = '#0008';
  screen.strokeRect(split - 1.5, -1, 3, height + 2);
  screen.beginPath();
  screen.arc(split, height / 2, 9, 0, 7);
  screen.fill();
  screen.stroke();
}

function drawCross() {
  const [x, y] = [state.left + (state.cross.x + 0.5) * state.scale, state.top + (state.cross.y + 0.5) * state.scale];
  for (const [color, width] of [['#000', 3], ['#fff', 1]]) {
    screen.strokeStyle = color;
    screen.lineWidth = width;
    screen.beginPath();
    screen.moveTo(x - 12, y); screen.lineTo(x + 12, y); screen.moveTo(x, y - 12); screen.lineTo(x, y + 12);
    screen.stroke();
  }
}

function drawTool() {
  if (state.corners.length) {
    screen.beginPath();
    for (const { x, y } of state.corners) screen.lineTo(state.left + (x + 0.5) * state.scale, state.top + (y + 0.5) * state.scale);
    for (const [color, width] of [['#000', 4], ['#fff', 2]]) { screen.strokeStyle = color; screen.lineWidth = width; screen.stroke(); }
  }
  if (state.tool === 'brush' && state.source === 'corrected' && state.pointer) {
    screen.strokeStyle = '#fff';
    screen.lineWidth = 2;
    screen.beginPath();
    screen.arc(state.left + (state.pointer.x + 0.5) * state.scale, state.top + (state.pointer.y + 0.5) * state.scale, brushRadius() * state.scale, 0, 7);
    screen.stroke();
  }
}

/* ------------------------------------------------------------------------------------------------ legend, readout */

function counts(labels) {
  const found = new Uint32Array(256);
  for (const label of labels) found[label]++;
  return found;
}

function legend() {
  const found = result();
  $('legend-all').hidden = !found;
  if (!found) return $('legend').replaceChildren();
  const pixels = counts(found.labels), order = [...pixels.keys()].filter((label) => pixels[label]).sort((a, b) => pixels[b] - pixels[a]);
  return $('legend').replaceChildren(...order.map((label) => {
    const item = make('li'), row = make('label'), box = make('input', '', { type: 'checkbox', checked: !state.hidden.has(label) });
    const swatch = make('span', '', { className: 'swatch' });
    swatch.style.background = `rgb(${colorOf(found, label)})`;
    box.dataset.label = label;
    box.addEventListener('change', () => { state.hidden[box.checked ? 'delete' : 'add'](label); draw(); });
    row.append(box, swatch, make('span', nameOf(found, label), { className: 'name' }),
      make('span', `${percent(pixels[label] / found.labels.length)} · ${pixels[label].toLocaleString('en')} px`, { className: 'share' }));
    item.append(row);
    return item;
  }));
}

/** Say what is on the canvas for those who do not see it. */
function describe() {
  const found = result(), { picture } = state;
  if (!picture) return canvas.setAttribute('aria-label', 'No image yet');
  if (!found) return canvas.setAttribute('aria-label', `Image ${picture.name}, ${picture.width} by ${picture.height} pixels`);
  const pixels = counts(found.labels), order = [...pixels.keys()].filter((label) => pixels[label]).sort((a, b) => pixels[b] - pixels[a]);
  const parts = order.slice(0, 6).map((label) => `${nameOf(found, label)} ${percent(pixels[label] / found.labels.length)}`);
  return canvas.setAttribute('aria-label', `Image ${picture.name}, ${picture.width} by ${picture.height} pixels: ${parts.join(', ')}${order.length > 6 ? ' and more' : ''}`);
}

function lookAt(key, { x, y }) {
  const found = result(key);
  if (!found || found.width !== state.picture.width) return '';
  const i = y * found.width + x, sure = found.confidence?.length ? `, ${Math.round(found.confidence[i] / 2.55)} % sure` : '';
  return `${nameOf(found, found.labels[i])}${sure}`;
}

function readout() {
  const at = state.cross ?? state.pointer, { picture } = state;
  if (!picture || !at || at.x < 0 || at.y < 0 || at.x >= picture.width || at.y >= picture.height) return;
  const titles = [state.source, result(state.other) ? state.other : ''].filter(Boolean);
  const parts = titles.map((key) => [key, lookAt(key, at)]).filter(([, text]) => text)
    .map(([key, text]) => titles.length > 1 ? `${titleOf(key)}: ${text}` : text);
  $('readout').textContent = [`x ${at.x}, y ${at.y}`, ...parts].join(' · ');
}

/* ------------------------------------------------------------------------------------------------ moving */

const extent = () => state.picture?.width ? state.picture : { width: 500, height: 375 };   // the explorer needs no image

function fit() {
  const { width, height } = extent(), room = [canvas.clientWidth || 1, canvas.clientHeight || 1];
  state.scale = Math.min(room[0] / width, room[1] / height);
  state.left = (room[0] - width * state.scale) / 2;
  state.top = (room[1] - height * state.scale) / 2;
  draw();
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(64, Math.max(0.02, state.scale * factor)), real = scale / state.scale;
  state.left = x - (x - state.left) * real;
  state.top = y - (y - state.top) * real;
  state.scale = scale;
  draw();
}

function pixelAt(event) {
  const box = canvas.getBoundingClientRect();
  return { x: Math.floor((event.clientX - box.left - state.left) / state.scale), y: Math.floor((event.clientY - box.top - state.top) / state.scale) };
}

const pointers = new Map();
let act = null;                          // what the pointer that is down does: pan, swipe, paint

function pointerDown(event) {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  state.cross = null;
  const at = pixelAt(event), split = state.left + state.swipe * extent().width * state.scale;
  const near = state.other && Math.abs(event.clientX - canvas.getBoundingClientRect().left - split) < 14;
  const painting = state.source === 'corrected' && state.tool !== 'look' && state.room !== 'explorer';
  if (pointers.size > 1) act = 'pan';
  else if (near && state.room !== 'explorer') act = 'swipe';
  else if (painting && !event.shiftKey && event.button === 0) {
    act = state.tool === 'brush' ? 'paint' : null;
    useTool(at);
  } else act = 'pan';
  state.moved = false;
}

function pointerMove(event) {
  const before = pointers.get(event.pointerId);
  state.pointer = pixelAt(event);
  if (!before) { state.cross = null; readout(); if (state.tool === 'brush') draw(); return; }
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  if (Math.abs(dx) + Math.abs(dy) > 0) state.moved = state.moved || Math.abs(dx) + Math.abs(dy) > 2;
  if (pointers.size === 2) pinch(event, before);
  else if (act === 'pan') { state.left += dx; state.top += dy; draw(); }
  else if (act === 'swipe') setSwipe((event.clientX - canvas.getBoundingClientRect().left - state.left) / (extent().width * state.scale));
  else if (act === 'paint') paintTo(state.pointer);
  pointers.set(event.pointerId, event);
  readout();
}

function pinch(event, before) {
  const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId), box = canvas.getBoundingClientRect();
  const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
  zoom(distance(event) / distance(before), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  state.left += (event.clientX - before.clientX) / 2;
  state.top += (event.clientY - before.clientY) / 2;
}

function pointerUp(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (act === 'paint') endStroke();
  if (state.room === 'explorer' && !state.moved) choosePlace(pixelAt(event));
  act = null;
}

function setSwipe(share) {
  state.swipe = Math.min(1, Math.max(0, share));
  $('swipe').value = 100 * state.swipe;
  draw();
}

function moveCross(dx, dy) {
  const { width, height } = extent(), step = Math.max(1, Math.round(1 / state.scale));
  state.cross ??= { x: Math.floor(width / 2) - dx * step, y: Math.floor(height / 2) - dy * step };
  state.cross = { x: Math.min(width - 1, Math.max(0, state.cross.x + dx * step)), y: Math.min(height - 1, Math.max(0, state.cross.y + dy * step)) };
  const at = { x: state.left + state.cross.x * state.scale, y: state.top + state.cross.y * state.scale };
  state.left += Math.max(0, 20 - at.x) - Math.max(0, at.x - canvas.clientWidth + 20);   // keep it on the screen
  state.top += Math.max(0, 20 - at.y) - Math.max(0, at.y - canvas.clientHeight + 20);
  draw();
  readout();
  clearTimeout(moveCross.timer);
  moveCross.timer = setTimeout(() => say($('readout').textContent), 350);               // read out when it rests
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  '+': () => zoom(1.25), '=': () => zoom(1.25), '-': () => zoom(0.8), 0: fit, 1: () => zoom(1 / state.scale),
  o: () => $('outlines').click(), '[': () => setOpacity(state.opacity - 0.1), ']': () => setOpacity(state.opacity + 0.1),
  ',': () => neighbour(-1), '.': () => neighbour(1),
  l: () => setTool('look'), b: () => setTool('brush'), p: () => setTool('polygon'), r: () => setTool('region'),
  ' ': atCross, Enter: () => finishPolygon(true), Escape: () => finishPolygon(false),
};

function keyDown(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, arrow = ARROWS[key], command = event.ctrlKey || event.metaKey;
  if (command && ['z', 'y'].includes(key)) { event.preventDefault(); step(key === 'z' && !event.shiftKey ? 'undo' : 'redo'); return; }
  if (command || event.altKey) return;
  if (arrow) moveCross(...arrow.map((part) => part * (event.shiftKey ? 20 : 1)));
  else if (KEYS[key]) KEYS[key]();
  else return;
  event.preventDefault();
}

function neighbour(by) {
  const place = state.pictures.indexOf(state.picture) + by;
  if (state.pictures[place]) show(state.pictures[place]);
}

function atCross() {
  if (!state.cross) return;
  if (state.room === 'explorer') choosePlace(state.cross);
  else if (state.source === 'corrected') { useTool(state.cross); if (state.tool === 'brush') endStroke(); }
}

function setOpacity(value) {
  state.opacity = Math.min(1, Math.max(0, value));
  $('opacity').value = 100 * state.opacity;
  draw();
}

/* ------------------------------------------------------------------------------------------------ correcting */

const HINTS = {
  look: 'Drag moves the image; the wheel zooms.', brush: 'Drag paints the class. Shift and drag moves the image.',
  polygon: 'Each click sets a corner; Enter or the button closes it.',
  region: 'A click gives the class to the whole connected region of one class.',
};

function startCorrecting() {
  const found = result();
  state.picture.results.set('corrected', { ...found, labels: found.labels.slice(), png: null, seconds: 0, confidence: null, entropy: null, painted: null, version: 0 });
  [state.picture.undo, state.picture.redo] = [[], []];
  state.source = state.hiddenFor = 'corrected';
  if (['confidence', 'entropy'].includes(state.mode)) state.mode = 'overlay';
  fill($('paint'), [...found.classes.map(({ id, name }) => [id, name]), [VOID, 'no ground truth (not learned)']], found.classes[0].id);
  setTool('brush');
  afterResult();
  canvas.focus();
}

function setTool(tool) {
  if (state.source !== 'corrected') return;
  finishPolygon(false);
  state.tool = tool;
  document.querySelector(`input[name="tool"][value="${tool}"]`).checked = true;
  $('tool-hint').textContent = HINTS[tool];
  draw();
}

/** From one to about a tenth of the image, finer at the small end. */
const brushRadius = () => Math.max(0.6, (Number($('brush').value) / 100) ** 2 * Math.max(extent().width, extent().height) / 8);

function useTool(at) {
  if (state.tool === 'brush') { state.stroke = { before: result().labels.slice() }; state.last = at; paintTo(at); }
  if (state.tool === 'polygon') { state.corners.push(at); $('close-polygon').hidden = false; draw(); }
  if (state.tool === 'region') change((labels) => fillRegion(labels, at));
}

/** Change the labels and remember how they were. */
function change(paint) {
  const before = result().labels.slice();
  paint(result().labels);
  remember(before);
}

function remember(before) {
  const { picture } = state;
  if (before.every((label, i) => label === result().labels[i])) return;
  picture.undo.push(before);
  if (picture.undo.length > Math.max(3, 1e8 / before.length)) picture.undo.shift();   // about 100 MB
  picture.redo = [];
  changed();
}

function changed() {
  result().version++;
  choices();
  legend();
  describe();
  draw();
}

function step(which) {
  const { picture } = state, back = which === 'undo' ? 'redo' : 'undo';
  if (state.source !== 'corrected' || !picture?.[which]?.length) return;
  picture[back].push(result().labels);
  result().labels = picture[which].pop();
  changed();
}

function paintTo(at) {
  const found = result(), radius = brushRadius(), label = Number($('paint').value);
  const steps = Math.max(1, Math.ceil(Math.hypot(at.x - state.last.x, at.y - state.last.y) / Math.max(1, radius / 2)));
  for (let k = 0; k <= steps; k++) {
    stamp(found, state.last.x + (at.x - state.last.x) * k / steps, state.last.y + (at.y - state.last.y) * k / steps, radius, label);
  }
  const [low, high] = [Math.min, Math.max].map((end) => [end(at.x, state.last.x), end(at.y, state.last.y)]), edge = Math.ceil(radius);
  repaint(found, low[0] - edge, low[1] - edge, high[0] + edge, high[1] + edge);
  state.last = at;
  draw();
}

function stamp({ labels, width, height }, cx, cy, radius, label) {
  for (let y = Math.max(0, Math.ceil(cy - radius)); y <= Math.min(height - 1, cy + radius); y++) {
    const half = Math.sqrt(radius * radius - (y - cy) ** 2);
    const from = Math.max(0, Math.ceil(cx - half)), to = Math.min(width - 1, Math.floor(cx + half));
    if (to >= from) labels.fill(label, y * width + from, y * width + to + 1);
  }
}

function endStroke() {
  if (state.stroke) remember(state.stroke.before);
  state.stroke = null;
}

function fillRegion(labels, { x, y }) {
  const { width, height } = result(), label = Number($('paint').value), start = y * width + x, old = labels[start];
  if (x < 0 || y < 0 || x >= width || y >= height || old === label) return;
  const open = [start];
  while (open.length) {
    const i = open.pop();
    if (labels[i] !== old) continue;
    labels[i] = label;
    if (i % width) open.push(i - 1);
    if (i % width < width - 1) open.push(i + 1);
    if (i >= width) open.push(i - width);
    if (i < width * (height - 1)) open.push(i + width);
  }
}

/** Fill the polygon, or give it up: a pixel belongs to it when its middle lies inside or on its border. */
function finishPolygon(keep) {
  const corners = state.corners;
  state.corners = [];
  $('close-polygon').hidden = true;
  if (keep && corners.length > 2 && state.source === 'corrected') change((labels) => fillPolygon(labels, corners));
  draw();
}

function fillPolygon(labels, corners) {
  const { width, height } = result(), label = Number($('paint').value), rows = corners.map(({ y }) => y);
  for (let y = Math.max(0, Math.min(...rows)); y <= Math.min(height - 1, Math.max(...rows)); y++) {
    const cuts = [];
    corners.forEach((a, i) => {
      const b = corners[(i + 1) % corners.length];
      if ((a.y <= y) !== (b.y <= y)) cuts.push(a.x + (y - a.y) * (b.x - a.x) / (b.y - a.y));
    });
    cuts.sort((a, b) => a - b);
    corners.forEach((a, i) => {          // corners and level sides at the lower end are cut by no row
      const b = corners[(i + 1) % corners.length];
      if (a.y === y) cuts.push(...(b.y === y ? [Math.min(a.x, b.x), Math.max(a.x, b.x)] : [a.x, a.x]));
    });
    for (let k = 0; k + 1 < cuts.length; k += 2) {
      const from = Math.max(0, Math.ceil(cuts[k])), to = Math.min(width - 1, Math.floor(cuts[k + 1]));
      if (to >= from) labels.fill(label, y * width + from, y * width + to + 1);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ saving */

async function saveView() {
  const { picture } = state, sheet = new OffscreenCanvas(picture.width, picture.height), pen = sheet.getContext('2d'), found = result();
  if (picture.bitmap && state.mode !== 'classes') pen.drawImage(picture.bitmap, 0, 0);
  pen.globalAlpha = state.mode === 'overlay' && !state.outlines ? state.opacity : 1;
  if (state.mode !== 'image') pen.drawImage(layer(found, state.source), 0, 0, picture.width, picture.height);
  save(await sheet.convertToBlob({ type: 'image/png' }), `${stemOf(picture.name)}-${state.mode}.png`);
}

const maskOf = (found) => writePng(found.width, found.height, found.labels, found.classes);

async function saveLabels() {
  const found = result();
  save(found.png ?? await maskOf(found), `${stemOf(state.picture.name)}.png`);
}

async function saveJson() {
  const answer = await segment(state.picture, sourceOf(state.source), { format: 'json', polygons: $('polygons').value });
  save(await answer.blob(), `${stemOf(state.picture.name)}.json`);
}

/** images/, masks/ and the classes' names: a folder as `fullconv init` reads it. */
async function saveZip() {
  const files = [], taken = new Set();
  let classes = [];
  for (const picture of state.pictures.filter(({ results }) => results.has('corrected'))) {
    const found = picture.results.get('corrected'), given = /\.(jpe?g|png|webp|bmp|gif|tiff?|avif)$/i.exec(picture.name)?.[1];
    const kind = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' }[picture.blob.type] ?? given ?? 'png';
    let stem = picture.name.replace(/\.(jpe?g|png|webp|bmp|gif|tiff?|avif)$/i, '').replace(/[\\/:*?"<>|]+/g, '_') || 'image';
    for (let n = 2; taken.has(stem.toLowerCase()); n++) stem = `${stem.replace(/-\d+$/, '')}-${n}`;
    taken.add(stem.toLowerCase());
    files.push([`images/${stem}.${kind.toLowerCase()}`, new Uint8Array(await picture.blob.arrayBuffer())]);
    files.push([`masks/${stem}.png`, new Uint8Array(await (await maskOf(found)).arrayBuffer())]);
    classes = classes.length >= found.classes.length ? classes : found.classes;
  }
  files.push(['classes.txt', new TextEncoder().encode(classes.map(({ id, name }) => `${id}: ${name}\n`).join(''))]);
  save(zip(files), 'corrections.zip');
}

/* ------------------------------------------------------------------------------------------------ data set */

async function openView() {
  const found = await askJson('v1/view');
  $('data-title').textContent = found.title;
  $('data-about').textContent = found.about;
  document.title = `${found.title}: fullconv`;
  const titles = { truth: 'ground truth', prediction: 'prediction' };
  for (const view of found.sources) {
    state.sources.push({ key: view, title: titles[view], view, classes: found.classes, sure: view === 'prediction' && found.sure });
  }
  state.view = found;
  document.querySelector('[data-room="data"]').hidden = false;
  enter('data');
  listData();
  if (!found.done) followView();
  const first = sortedImages()[0];
  if (first && !found.pictures) await openData(first);
}

async function followView() {
  while (!state.view.done) {
    await pause(1);
    try {
      Object.assign(state.view, await askJson('v1/view'));
    } catch (error) {
      complain(error);
      return;
    }
    listData();
  }
}

function sortedImages() {
  const wanted = $('data-find').value.toLowerCase(), by = $('data-sort').value, last = by === 'worst' ? 2 : -1;
  const images = state.view.images.filter(({ name }) => name.toLowerCase().includes(wanted));
  if (by === 'name') return images.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  return images.sort((a, b) => ((a.score ?? last) - (b.score ?? last)) * (by === 'worst' ? 1 : -1) || a.id - b.id);
}

function listData() {
  const { view } = state;
  $('data-progress').textContent = view.progress;
  $('findings-box').hidden = !view.findings.length;
  $('findings-title').textContent = `What the doctor found (${view.findings.length})`;
  $('findings').replaceChildren(...view.findings.map(({ level, what, fix }) => {
    const item = make('li');
    item.append(make('span', `${level}: `, { className: level }), `${what} ${fix}`);
    return item;
  }));
  const focused = document.activeElement?.dataset?.image;
  $('data-images').replaceChildren(...sortedImages().slice(0, 500).map((image) => {
    const item = make('li'), button = make('button', '', { type: 'button' });
    button.dataset.image = image.id;
    button.setAttribute('aria-current', image.id === state.picture?.id);
    const score = image.problem ? 'damaged' : image.score == null ? '' : `IU ${(100 * image.score).toFixed(1)} %`;
    button.append(make('img', '', { src: `v1/view/${image.id}/thumbnail`, alt: '', loading: 'lazy', width: 64, height: 48 }),
      make('span', image.name, { className: 'name' }), make('span', score, { className: 'share' }));
    button.addEventListener('click', () => openData(image));
    item.append(button);
    return item;
  }));
  if (focused !== undefined) document.querySelector(`[data-image="${focused}"]`)?.focus();
}

async function openData(image) {
  if (image.problem) return complain(image.problem);
  let picture = state.pictures.find(({ id }) => id === image.id);
  if (!picture) {
    picture = { id: image.id, name: image.name, results: new Map() };
    state.pictures.push(picture);
  }
  if (!state.other && state.view.sources.length > 1) state.other = 'truth';
  await show(picture);
  for (const button of document.querySelectorAll('[data-image]')) button.setAttribute('aria-current', Number(button.dataset.image) === image.id);
  return undefined;
}

/* ------------------------------------------------------------------------------------------------ explorer */

const explorer = { layers: [], skips: [], layer: null, at: null, boxes: [], maps: new Map(), net: null, turn: 0 };
const BOXES = ['#ffb000', '#00c2d1', '#ff5d8f', '#8fd14f'];
const QUIET = /^(ReLU|BatchNorm2d|Dropout|Normalise|Identity|SiLU|Hardswish|ReLU6|add|Overlap)$/;

const chosenNet = () => $('net').value
  ? { model: $('net').value }
  : { backbone: $('backbone').value, stride: $('net-stride').value, padding: $('net-padding').value };

const netAddress = ({ model, backbone, stride, padding }, more = {}) =>
  model ? `v1/geometry?${query({ model, ...more })}` : `v1/geometry/${backbone}?${query({ stride, padding, ...more })}`;

async function openNet() {
  $('net-parts').hidden = Boolean($('net').value);
  const turn = ++explorer.turn, net = chosenNet();
  await busy(async () => {
    say('Tracing the net …');
    const found = await askJson(netAddress(net));
    if (turn !== explorer.turn) return;    // another net was chosen meanwhile
    explorer.net = net;
    explorer.layers = found.layers.map((layer, index) => ({ ...layer, index }));
    explorer.skips = explorer.layers.filter(({ name }) => /score\.[^.]+\.\d+$/.test(name));
    explorer.layer = explorer.layers.find(({ name }) => name === explorer.layer?.name) ?? explorer.layers.at(-1);
    explorer.maps = new Map();
    explorer.boxes = [];
    listLayers();
    say(`${found.name}: ${found.layers.length} layers.`);
    await choosePlace(explorer.at ?? { x: extent().width >> 1, y: extent().height >> 1 });
  });
}

/** A pair (height, width) in short: one number where both are the same. */
const pair = (values) => [...new Set(values.map((value) => Number(value.toFixed(2))))].join(' × ');
const known = (values, otherwise) => values?.every((value) => value != null) ? pair(values) : otherwise;

function listLayers() {
  const shown = explorer.layers.filter((layer) => $('all-layers').checked || !QUIET.test(layer.kind) || layer === explorer.layer);
  $('layers').tBodies[0].replaceChildren(...shown.map((layer) => {
    const row = make('tr'), cell = make('td'), button = make('button', layer.name.replace(/^core\.heads\./, ''), { type: 'button' });
    button.setAttribute('aria-pressed', layer === explorer.layer);
    button.addEventListener('click', () => chooseLayer(layer));
    row.className = layer === explorer.layer ? 'chosen' : '';
    cell.append(button);
    row.append(cell, make('td', known(layer.stride, '')), make('td', known(layer.receptive_field, 'whole image')), make('td', known(layer.offset, '')));
    return row;
  }));
}

async function chooseLayer(layer) {
  explorer.layer = layer;
  listLayers();
  document.querySelector('#layers [aria-pressed="true"]')?.focus();
  await choosePlace(explorer.at);
}

/** Ask which pixels the entry of the chosen layer nearest to a pixel depends on, and the same for the scores at each stride. */
async function choosePlace(at) {
  const { width, height } = extent(), place = { x: Math.min(width - 1, Math.max(0, at.x)), y: Math.min(height - 1, Math.max(0, at.y)) };
  const { net } = explorer;
  explorer.at = place;
  await busy(async () => {
    const boxes = await Promise.all([explorer.layer, ...explorer.skips].map((layer) => entryAt(layer, place, width, height)));
    if (explorer.at !== place || explorer.net !== net) return;   // another place or net was chosen meanwhile
    explorer.boxes = boxes;
    $('place').textContent = inWords(boxes[0]);
    tellSkips(boxes.slice(1));
    draw();
  });
}

/** The entry of a layer's map whose centre is nearest to a pixel: where it lies, and what it depends on. */
async function entryAt(layer, { x, y }, width, height) {
  const { net, maps } = explorer, askEntry = async (row, column) =>
    (await askJson(netAddress(net, { layer: layer.index, row, column, height, width }))).depends_on;
  const size = `${layer.index} ${width} ${height}`;
  if (!maps.has(size)) maps.set(size, (await askEntry(0, 0)).map);
  const map = maps.get(size);
  const [row, column] = [y, x].map((pixel, axis) => layer.stride[axis] == null ? 0
    : Math.min(map[axis] - 1, Math.max(0, Math.round((pixel - layer.offset[axis]) / layer.stride[axis]))));
  const centre = layer.stride.map((stride, axis) => stride == null ? null : layer.offset[axis] + stride * [row, column][axis]);
  const cell = centre.includes(null) ? null : centre.map((middle, axis) => [middle - layer.stride[axis] / 2 + 0.5, middle + layer.stride[axis] / 2 - 0.5]);
  const { rows, columns } = await askEntry(row, column);
  return { layer, map, row, column, centre, cell, field: rows && columns ? [rows, columns] : null };
}

const span = ([first, last]) => last - first + 1;
const sides = (field) => field ? field.map(span).join(' × ') : '0';

function inWords({ layer, map, row, column, centre, field }) {
  const where = `Row ${row}, column ${column} of ${layer.name} (a map of ${map.join(' × ')})`;
  const middle = centre.includes(null) ? '' : ` lies at y ${pair([centre[0]])}, x ${pair([centre[1]])}. It`;
  if (!field) return `${where}${middle} depends on padding alone.`;
  const ends = [extent().height, extent().width], cut = field.some(([first, last], axis) => first === 0 || last === ends[axis] - 1);
  return `${where}${middle} depends on rows ${field[0].join(' to ')} and columns ${field[1].join(' to ')}: ${sides(field)} pixels`
    + (cut ? ', up to the border.' : '.');
}

function tellSkips(entries) {
  $('skips').replaceChildren(...entries.map(({ layer, field }, place) => {
    const line = make('p'), swatch = make('span', '', { className: 'swatch' }), stride = known(layer.stride, '?');
    swatch.style.background = BOXES[(place + 1) % BOXES.length];
    line.append(swatch, place ? `The skip at stride ${stride} adds a score every ${stride} pixels, from ${sides(field)} pixels around.`
      : `The coarsest scores come every ${stride} pixels, from ${sides(field)} pixels around.`);
    return line;
  }));
}

function drawExplorer() {
  const { width, height } = extent(), { scale, left, top } = state;
  const box = ([rows, columns], inset = 0) => [left + columns[0] * scale + inset, top + rows[0] * scale + inset,
    span(columns) * scale - 2 * inset, span(rows) * scale - 2 * inset];
  screen.strokeStyle = '#888';
  screen.lineWidth = 1;
  screen.strokeRect(left, top, width * scale, height * scale);
  explorer.boxes.forEach(({ field, cell }, place) => {
    screen.strokeStyle = screen.fillStyle = BOXES[place % BOXES.length];
    screen.lineWidth = place ? 2 : 3;
    screen.setLineDash(place ? [6, 4] : []);
    if (field) screen.strokeRect(...box(field, 2 * place));
    screen.globalAlpha = 0.22;
    if (field && !place) screen.fillRect(...box(field));
    screen.globalAlpha = 0.6;
    if (cell) screen.fillRect(...box(cell));
    screen.globalAlpha = 1;
  });
  screen.setLineDash([]);
  if (!explorer.at) return;
  screen.fillStyle = '#fff';
  screen.strokeStyle = '#000';
  screen.lineWidth = 1;
  screen.beginPath();
  screen.arc(left + (explorer.at.x + 0.5) * scale, top + (explorer.at.y + 0.5) * scale, 4, 0, 7);
  screen.fill();
  screen.stroke();
}

/* ------------------------------------------------------------------------------------------------ start */

function enter(room) {
  state.room = room;
  for (const button of document.querySelectorAll('[data-room]')) {
    if (button.dataset.room === room) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
  $('room-data').hidden = room !== 'data';
  $('room-segment').hidden = room === 'explorer';
  $('room-explorer').hidden = room !== 'explorer';
  choices();
  if (room === 'explorer') { if (!state.picture) fit(); if (explorer.layers.length) choosePlace(explorer.at); else openNet(); }
  draw();
}

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) return $('snapshot').click();   // a telephone asks by itself
  try {
    $('video').srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch {
    return complain('There is no camera, or the browser does not let this page use it; open a file instead.');
  }
  await $('video').play();
  return $('camera-dialog').showModal();
}

async function shoot() {
  const video = $('video'), sheet = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  sheet.getContext('2d').drawImage(video, 0, 0);
  const blob = await sheet.convertToBlob({ type: 'image/png' });
  $('camera-dialog').close();
  openFiles([new File([blob], `camera-${state.pictures.length + 1}.png`, { type: 'image/png' })]);
}

function setTheme(dark, keep = false) {
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  $('theme').setAttribute('aria-pressed', dark);
  if (keep) localStorage.setItem('theme', dark ? 'dark' : 'light');
}

function wire() {
  for (const button of document.querySelectorAll('[data-room]')) button.addEventListener('click', () => enter(button.dataset.room));
  listen('theme', 'click', () => setTheme(document.documentElement.dataset.theme !== 'dark', true));
  listen('keys', 'click', () => $('keys-dialog').showModal());
  listen('keys-close', 'click', () => $('keys-dialog').close());
  listen('choose', 'click', () => $('file').click());
  for (const id of ['file', 'snapshot']) listen(id, 'change', () => { if ($(id).files.length) openFiles([...$(id).files]); $(id).value = ''; });
  listen('camera', 'click', openCamera);
  listen('shoot', 'click', shoot);
  listen('camera-close', 'click', () => $('camera-dialog').close());
  listen('camera-dialog', 'close', () => { for (const track of $('video').srcObject?.getTracks() ?? []) track.stop(); });
  wireStage();
  wireSettings();
  wireEditing();
}

function wireStage() {
  addEventListener('dragover', (event) => { event.preventDefault(); $('stage').classList.add('over'); });
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) $('stage').classList.remove('over'); });
  addEventListener('drop', (event) => { event.preventDefault(); $('stage').classList.remove('over'); openFiles(event.dataTransfer.files); });
  addEventListener('paste', (event) => { if (event.clipboardData?.files.length) openFiles(event.clipboardData.files); });
  canvas.addEventListener('pointerdown', pointerDown);
  canvas.addEventListener('pointermove', pointerMove);
  canvas.addEventListener('pointerup', pointerUp);
  canvas.addEventListener('pointercancel', pointerUp);
  canvas.addEventListener('pointerleave', () => { if (!pointers.size) { state.pointer = null; draw(); } });
  canvas.addEventListener('dblclick', () => finishPolygon(true));
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  canvas.addEventListener('keydown', keyDown);
  canvas.addEventListener('blur', () => { state.cross = null; draw(); });
  new ResizeObserver(() => fit()).observe(canvas);
  listen('zoom-in', 'click', () => zoom(1.25));
  listen('zoom-out', 'click', () => zoom(0.8));
  listen('zoom-one', 'click', () => zoom(1 / state.scale));
  listen('zoom-fit', 'click', fit);
  listen('swipe', 'input', () => setSwipe($('swipe').value / 100));
}

function wireSettings() {
  listen('source', 'change', () => { state.source = $('source').value; busy(refresh); });
  listen('other', 'change', () => {
    state.other = $('other').value;
    if (state.mode === 'differences' && !sourceOf(state.other)) state.mode = 'overlay';
    busy(refresh);
  });
  for (const radio of document.querySelectorAll('input[name="mode"]')) radio.addEventListener('change', () => { state.mode = radio.value; busy(refresh); });
  listen('opacity', 'input', () => setOpacity($('opacity').value / 100));
  listen('outlines', 'change', () => { state.outlines = $('outlines').checked; draw(); });
  listen('refine', 'change', () => {
    for (const picture of state.pictures) for (const { key, model } of state.sources) if (model) picture.results.delete(key);
    busy(refresh);
  });
  listen('all', 'click', () => { state.hidden.clear(); legend(); draw(); });
  listen('none', 'click', () => { for (const box of $('legend').querySelectorAll('input')) state.hidden.add(Number(box.dataset.label)); legend(); draw(); });
  for (const id of ['data-sort', 'data-find']) listen(id, 'input', listData);
  for (const id of ['net', 'backbone', 'net-stride', 'net-padding']) listen(id, 'change', openNet);
  listen('all-layers', 'change', listLayers);
}

function wireEditing() {
  listen('correct', 'click', startCorrecting);
  for (const radio of document.querySelectorAll('input[name="tool"]')) radio.addEventListener('change', () => setTool(radio.value));
  listen('undo', 'click', () => step('undo'));
  listen('redo', 'click', () => step('redo'));
  listen('close-polygon', 'click', () => finishPolygon(true));
  listen('save-labels', 'click', () => busy(saveLabels));
  listen('save-view', 'click', () => busy(saveView));
  listen('save-json', 'click', () => busy(saveJson));
  listen('save-mask', 'click', () => busy(async () => save(await maskOf(result()), `${stemOf(state.picture.name)}.png`)));
  listen('save-zip', 'click', () => busy(saveZip));
}

async function start() {
  setTheme((localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark');
  wire();
  await busy(async () => {
    const models = (await askJson('v1/models')).sort((a, b) => b.default - a.default);
    for (const { name, heads } of models) for (const [head, classes] of Object.entries(heads)) {
      const title = Object.keys(heads).length > 1 ? `${name}, ${head}` : name;
      state.sources.push({ key: `model ${name} ${head}`, title, model: name, head, classes, sure: true });
    }
    fill($('net'), [...models.map(({ name }) => [name, `the model ${name}`]), ['', 'any net, without weights']], models[0]?.name ?? '');
    $('net-parts').hidden = Boolean($('net').value);
    state.source = state.sources[0]?.key ?? '';
    $('room-segment').classList.toggle('empty', !models.length);
    choices();
    if (location.pathname.endsWith('/view')) await openView();
    else say(models.length ? 'Ready.' : 'No model is served here.');
  });
}

start();
