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
  if (step) return relative.format(Math.round(seconds / step[2]), step[1]);
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

// ---- Markdown: paragraphs, headings, lists, code, bold, emphasis and links to the web. The rest stays as written. ----

export function markdown(source) {
  const prose = h("div", { class: "prose" });
  // Odd parts stand between fences. A fence that never closes, as in an excerpt, runs to the end.
  String(source ?? "").split(/^```.*$/m).forEach((part, index) => {
    if (index % 2 === 1) {
      prose.append(h("pre", { tabindex: "0" }, h("code", null, part.replace(/^\n|\n$/g, ""))));
      return;
    }
    for (const block of part.split(/\n\s*\n/)) if (block.trim()) prose.append(...blockOf(block.trim()));
  });
  return prose;
}

function blockOf(text) {
  const lines = text.split("\n");
  if (/^#{1,6} /.test(lines[0])) {
    const heading = h("h3", null, ...inline(lines[0].replace(/^#+ /, "")));
    const rest = lines.slice(1).join("\n").trim();
    return rest ? [heading, ...blockOf(rest)] : [heading];
  }
  if (lines.every((line) => /^\s*[-*] /.test(line))) {
    return [h("ul", null, lines.map((line) => h("li", null, ...inline(line.replace(/^\s*[-*] /, "")))))];
  }
  const broken = lines.flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line)));
  return [h("p", null, ...broken)];
}

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])/g;

function inline(text) {
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
