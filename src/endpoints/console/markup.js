// How the page builds what it shows: nodes, words and Markdown. Knows nothing of the product.

// ---- Building nodes. Text only ever becomes text: nothing here parses HTML. ----

export const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** A node: properties starting with `on` are listeners, `test` is data-testid, null and false are left out. */
export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "test") node.dataset.testid = value;
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function avatar(person, size = "") {
  const name = person?.display_name || person?.username || "?";
  const letters = name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("");
  const node = h("span", { class: `avatar ${size}`, "aria-hidden": "true" }, letters);
  node.style.setProperty("--hue", String(((Number(person?.id) || 0) * 137) % 360));
  return node;
}

export const closeButton = () => h("button", { class: "round", type: "button", "data-close": true, "aria-label": "Close" }, icon("close"));

/** Sets a text only where it differs, so that screen readers hear changes alone. */
export function say(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

// ---- Words. ----

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
export const compact = new Intl.NumberFormat("en", { notation: "compact" });
export const count = (number, one, many = `${one}s`) => `${compact.format(number)} ${number === 1 ? one : many}`;

export function ago(instant) {
  const seconds = (Date.parse(instant) - Date.now()) / 1000;
  const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400]];
  const step = steps.find(([limit]) => Math.abs(seconds) < limit);
  if (seconds > -45) return "just now";
  if (step) return relative.format(Math.trunc(seconds / step[2]), step[1]);
  return new Date(instant).toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
}

export const when = (instant) => h("time", { datetime: instant, title: new Date(instant).toLocaleString() }, ago(instant));
export const nameOf = (person) => person?.display_name || person?.username || "Someone";

/** A UUID also where the page came over plain http from another host, and randomUUID does not exist. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// ---- Markdown: paragraphs, headings, lists, quotes, code, bold, emphasis and links to the web. The rest stays as written. ----

/** `breaks`: whether a line that ends ends on the screen too, as people expect of what they type. */
export function markdown(source, { breaks = true } = {}) {
  const prose = h("div", { class: "prose" });
  // Odd parts stand between fences. A fence that never closes, as in an excerpt, runs to the end.
  String(source ?? "").split(/^```.*$/m).forEach((part, index) => {
    if (index % 2 === 1) {
      prose.append(h("pre", { tabindex: "0" }, h("code", null, part.replace(/^\n|\n$/g, ""))));
      return;
    }
    for (const block of part.split(/\n\s*\n/)) if (block.trim()) prose.append(...blocksOf(block.trim(), breaks));
  });
  return prose;
}

/** An excerpt: a text without its line ends, in which the marks of blocks mark nothing any more. Code ends it. */
export function preview(excerpt) {
  const text = String(excerpt ?? "").replace(/(^|\s)#{1,6} (?=\S)/g, "$1").replace(/^(?:[-*]|>) /, "");
  const fence = text.indexOf("```");
  const words = fence > 0 ? `${text.slice(0, fence).trimEnd()} …` : text.replace(/^```\w*/, "").replaceAll("```", "");
  return h("div", { class: "prose" }, h("p", null, ...inline(words.trim().replace(/\.…$/, ". …"))));
}

const MARKS = { heading: /^#{1,6} +/, bullet: /^\s*[-*] +/, number: /^\s*\d{1,3}[.)] +/, quote: /^> ?/ };
const markOf = (line) => Object.keys(MARKS).find((kind) => MARKS[kind].test(line)) ?? "text";

/** The blocks of lines without an empty one between them: those of one kind that follow each other belong together. */
function blocksOf(text, breaks) {
  const runs = [];
  for (const line of text.split("\n")) {
    const kind = markOf(line), last = runs.at(-1);
    const content = kind === "text" ? line : line.replace(MARKS[kind], "");
    if (last?.kind === kind && kind !== "heading") last.lines.push(content);
    else runs.push({ kind, lines: [content] });
  }
  return runs.map(({ kind, lines }) => drawRun(kind, lines, breaks));
}

function drawRun(kind, lines, breaks) {
  if (kind === "heading") return h("h3", null, ...inline(lines[0]));
  if (kind === "bullet" || kind === "number") return h(kind === "bullet" ? "ul" : "ol", null, lines.map((line) => h("li", null, ...inline(line))));
  const between = () => (breaks ? h("br") : " ");
  return h(kind === "quote" ? "blockquote" : "p", null, ...lines.flatMap((line, index) => (index ? [between(), ...inline(line)] : inline(line))));
}

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])/g;

export function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, bold, emphasis, label, target, bare] = match;
    nodes.push(text.slice(from, match.index));
    from = match.index + whole.length;
    if (code) nodes.push(h("code", null, code));
    else if (bold) nodes.push(h("strong", null, bold));
    else if (emphasis) nodes.push(h("em", null, emphasis));
    else nodes.push(webLink(target ?? bare, label ?? bare) ?? whole);
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== "");
}

function webLink(target, label) {
  if (!URL.canParse(target)) return null;
  const { protocol, href } = new URL(target);
  if (protocol !== "https:" && protocol !== "http:") return null;
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, label);
}
