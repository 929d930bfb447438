// Shows /openapi.json (OpenAPI 3.1): by tag, each operation with what it takes, what it answers, and a form to try it.
//
// Marks for tests (data-testid): docs-contents docs-token docs-filter docs-groups operation (id is its operationId or
// its method and path) try try-send try-status try-body

import { $, h, inline, markdown } from "/console/markup.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH_MAX = 4;

let description = null;

/** Follows `$ref` within the document. */
function resolve(node) {
  let found = node;
  for (let hops = 0; found?.$ref && hops < 8; hops += 1) {
    found = found.$ref.replace(/^#\//, "").split("/")
      .reduce((at, key) => at?.[decodeURIComponent(key).replace(/~1/g, "/").replace(/~0/g, "~")], description);
  }
  return found ?? {};
}

const nameOfRef = (schema) => schema?.$ref?.split("/").at(-1);

// ---- Schemas. ----

/** The type of a schema in a few words, such as `string (date-time)`, `Post` or `list of Comment`. */
function typeOf(raw) {
  if (nameOfRef(raw)) return nameOfRef(raw);
  const schema = raw ?? {};
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const types = [schema.type ?? (schema.properties ? "object" : "anything")].flat();
  return types.map((type) => (type === "array" ? `list of ${typeOf(schema.items)}` : type)).join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

const LIMITS = { minLength: "at least {} characters", maxLength: "at most {} characters", minimum: "from {}", maximum: "to {}", minItems: "at least {} items", maxItems: "at most {} items", pattern: "matches {}", default: "by default {}" };

function limitsOf(schema) {
  return Object.entries(LIMITS).filter(([key]) => schema[key] !== undefined)
    .map(([key, words]) => words.replace("{}", typeof schema[key] === "string" ? schema[key] : JSON.stringify(schema[key]))).join(", ");
}

/** All properties of a schema, those of `allOf` included. */
function propertiesOf(raw) {
  const schema = resolve(raw);
  const parts = [schema, ...(schema.allOf ?? []).map(resolve)];
  return { properties: Object.assign({}, ...parts.map((part) => part.properties ?? {})), required: parts.flatMap((part) => part.required ?? []) };
}

function drawSchema(raw, depth = 0) {
  const schema = resolve(raw);
  const inner = schema.type === "array" ? schema.items : raw;
  const { properties, required } = propertiesOf(inner);
  const names = Object.keys(properties);
  const choices = schema.oneOf ?? schema.anyOf ?? [];
  if (!names.length && depth < DEPTH_MAX && choices.some(nameOfRef)) return h("ul", { class: "properties" }, choices.map((choice) =>
    h("li", null, h("details", null, h("summary", null, h("code", null, typeOf(choice))), drawSchema(choice, depth + 1)))));
  if (!names.length) return h("p", { class: "muted" }, h("code", null, typeOf(raw)), schema.description ? [" ", ...inline(schema.description)] : "");
  const rows = names.map((name) => {
    const property = resolve(properties[name]);
    const below = property.type === "array" ? property.items : properties[name];
    const deeper = depth < DEPTH_MAX && Object.keys(propertiesOf(below).properties).length > 0;
    return h("li", null,
      h("div", { class: "property" }, h("code", null, name), h("span", { class: "type" }, typeOf(properties[name])), required.includes(name) ? h("span", { class: "required" }, "required") : null),
      note([property.description, limitsOf(property)].filter(Boolean).join(" · ")),
      deeper && h("details", null, h("summary", null, "its fields"), drawSchema(properties[name], depth + 1)));
  });
  return h("ul", { class: "properties" }, rows);
}

const note = (text) => (text ? h("p", { class: "muted" }, ...inline(text)) : null);

/** A value that fits a schema, to start from. */
function exampleOf(raw, depth = 0) {
  const schema = resolve(raw);
  const given = schema.example ?? schema.examples?.[0] ?? schema.default ?? schema.const ?? schema.enum?.[0];
  if (given !== undefined) return given;
  if (depth > DEPTH_MAX) return null;
  const choice = schema.oneOf?.[0] ?? schema.anyOf?.[0];
  if (choice) return exampleOf(choice, depth + 1);
  const type = [schema.type ?? (schema.properties || schema.allOf ? "object" : "null")].flat()[0];
  if (type === "object") {
    const { properties, required } = propertiesOf(schema);
    const shown = Object.entries(properties).filter(([name]) => !required.length || required.includes(name));
    return Object.fromEntries(shown.map(([name, property]) => [name, exampleOf(property, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, array: [], null: null }[type] ?? null;
}

// ---- Operations. ----

function drawOperation({ url, method, operation, shared }) {
  const parameters = [...shared, ...(operation.parameters ?? []), ...keysOf(operation)].map(resolve);
  const body = resolve(operation.requestBody);
  const content = Object.values(body.content ?? {})[0];
  const answers = Object.entries(operation.responses ?? {});
  const streams = answers.some(([status, answer]) => status === "101" || "text/event-stream" in (resolve(answer).content ?? {}));
  const section = (title, ...nodes) => h("section", null, h("h3", null, title), ...nodes);
  const details = h("details", { class: "card operation", test: "operation", id: idOf(method, url, operation), "data-words": `${method} ${url} ${operation.summary ?? ""} ${operation.description ?? ""}`.toLowerCase() },
    h("summary", null, h("span", { class: `method verb-${method}` }, method.toUpperCase()), h("code", null, url), h("span", { class: "grow muted" }, ...inline(operation.summary ?? "")),
      operation.deprecated && h("span", { class: "status-tag" }, "deprecated")));
  // Drawn when first opened: the whole document has thousands of nodes.
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(
      operation.description ? markdown(operation.description, { breaks: false }) : "",
      note(callerOf(operation)),
      parameters.length ? section("Parameters", h("ul", { class: "properties" }, parameters.map(drawParameter))) : "",
      content ? section("Body", note(body.description), drawSchema(content.schema)) : "",
      section("Answers", ...answers.map(drawAnswer)),
      streams ? "" : tryForm(url, method, parameters, content)); // A stream has no end that a try could show.
  });
  return details;
}

/** What an operation's security schemes are, by name; an empty name stands for nobody in particular. */
const schemesOf = (operation) => (operation.security ?? [{}]).flatMap((need) => (Object.keys(need).length ? Object.keys(need) : [""]))
  .map((name) => description.components?.securitySchemes?.[name] ?? null);

function callerOf(operation) {
  const schemes = schemesOf(operation);
  const words = schemes.filter(Boolean).map((scheme) => (scheme.type === "apiKey" ? `a key in \`${scheme.name}\`` : "a session's token")).join(" or ");
  if (!words) return "Anybody may ask.";
  return schemes.includes(null) ? `Takes ${words}, and needs none.` : `Needs ${words}.`;
}

/** API keys that travel in a header, as parameters to fill in. */
const keysOf = (operation) => schemesOf(operation).filter((scheme) => scheme?.type === "apiKey" && scheme.in === "header")
  .map(({ name, description: about }) => ({ name, in: "header", description: about, required: true, schema: { type: "string" } }));

const idOf = (method, url, operation) => operation.operationId ?? `${method}-${url.replace(/[^a-z0-9]+/gi, "-")}`;

function drawParameter(parameter) {
  return h("li", null,
    h("div", { class: "property" }, h("code", null, parameter.name), h("span", { class: "type" }, `${parameter.in}, ${typeOf(parameter.schema)}`), parameter.required ? h("span", { class: "required" }, "required") : null),
    note([parameter.description, limitsOf(resolve(parameter.schema))].filter(Boolean).join(" · ")));
}

function drawAnswer([status, raw]) {
  const answer = resolve(raw);
  const content = Object.entries(answer.content ?? {})[0];
  return h("details", { class: "answer" },
    h("summary", null, h("b", { class: /^2/.test(status) ? "fine" : "" }, status), " ", ...inline(raw.description ?? answer.description ?? "")),
    content ? h("p", { class: "muted" }, h("code", null, content[0])) : null, content ? drawSchema(content[1].schema) : null);
}

// ---- Trying. ----

function tryForm(url, method, parameters, content) {
  const shown = parameters.filter((parameter) => parameter.in !== "cookie");
  const field = (parameter) => h("label", null, parameter.name, h("input", { name: `${parameter.in}:${parameter.name}`, autocomplete: "off", required: parameter.required, placeholder: `${parameter.in}, ${typeOf(parameter.schema)}` }));
  const example = content ? JSON.stringify(exampleOf(content.schema), null, 2) : "";
  const answer = h("div", { class: "tried", "aria-live": "polite" });
  const form = h("form", { class: "try", test: "try" },
    h("h3", null, "Try it"), shown.length ? h("div", { class: "two" }, shown.map(field)) : null,
    content ? h("label", null, "Body", h("textarea", { name: "body", rows: "6", spellcheck: "false", value: example })) : null,
    h("div", { class: "row" }, h("button", { class: "button primary", type: "submit", test: "try-send" }, `Send ${method.toUpperCase()}`)), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      answer.replaceChildren(...(await send(url, method, shown, values)));
    } catch (error) {
      answer.replaceChildren(h("p", { test: "try-status" }, `Not sent: ${error.message}`));
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

async function send(url, method, parameters, values) {
  const headers = {}, query = new URLSearchParams();
  let target = url;
  for (const { name, in: place } of parameters) {
    const value = values[`${place}:${name}`];
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && place === "query") query.append(name, value);
    else if (value && place === "header") headers[name] = value;
  }
  const token = $("docs-token").value.trim();
  if (token && !headers.Authorization) headers.Authorization = `Bearer ${token}`;
  if (values.body) headers["Content-Type"] = "application/json";
  const from = performance.now();
  const response = await fetch(target + (query.size ? `?${query}` : ""), { method: method.toUpperCase(), headers, body: values.body || undefined });
  const text = await response.text();
  const took = Math.round(performance.now() - from);
  const kept = ["content-type", "ratelimit", "retry-after", "x-request-id", "age"].filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}`);
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* It is shown as it came. */ }
  return [h("p", { test: "try-status" }, h("b", { class: response.ok ? "fine" : "" }, String(response.status)), ` ${response.statusText} in ${took} ms`),
    h("pre", { test: "try-body", tabindex: "0" }, h("code", null, `${kept.join("\n")}\n\n${shown}`.trim()))];
}

// ---- The page. ----

function operationsByTag() {
  const groups = new Map((description.tags ?? []).map((tag) => [tag.name, { about: tag.description, operations: [] }]));
  for (const [url, item] of Object.entries(description.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation) continue;
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, { operations: [] });
      groups.get(tag).operations.push({ url, method, operation, shared: item.parameters ?? [] });
    }
  }
  return [...groups].filter(([, group]) => group.operations.length);
}

function filter() {
  const words = $("docs-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll(".operation")) node.hidden = !words.every((word) => node.dataset.words.includes(word));
  for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".operation:not([hidden])");
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
  target?.scrollIntoView();
}

async function start() {
  try {
    const theme = localStorage.getItem("carillon.theme");
    if (theme) document.documentElement.dataset.theme = theme;
    $("docs-token").value = JSON.parse(localStorage.getItem("carillon.session"))?.token ?? "";
  } catch { /* Without storage the token is typed. */ }
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    description = await response.json();
  } catch (error) {
    $("docs-lede").textContent = `The description could not be loaded: ${error.message}.`;
    return;
  }
  const info = description.info ?? {};
  $("docs-title").textContent = info.title ?? "API reference";
  $("docs-lede").replaceChildren(markdown(info.description, { breaks: false }), h("p", { class: "muted" }, `Version ${info.version ?? "?"} · OpenAPI ${description.openapi}`));
  const groups = operationsByTag();
  $("groups").replaceChildren(...groups.map(([tag, group]) => h("section", { class: "group", id: `tag-${tag}`, "aria-label": tag }, h("h2", null, tag), note(group.about), ...group.operations.map(drawOperation))));
  $("contents").replaceChildren(...groups.map(([tag, group]) => h("details", { open: true }, h("summary", null, tag),
    h("ul", null, group.operations.map(({ url, method, operation }) => h("li", null, h("a", { href: `#${idOf(method, url, operation)}` }, h("span", { class: `method verb-${method}` }, method), ` ${url}`)))))));
  $("docs-filter").oninput = filter;
  addEventListener("hashchange", openTarget);
  openTarget();
}

start();
