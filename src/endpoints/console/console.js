// The product's page. It reads over REST, writes over REST, and hears what changes over one WebSocket.
//
// In order: session, posts, feed, composer, one post, comments, inbox, trending, profiles, what the hub says,
// appearance and keys, start. Beside it: markup.js (nodes, words, Markdown), requests.js (REST), writes.js (writes and
// their latency), dialogs.js (toasts, dialogs, forms), realtime.js (the client protocol).
//
// Marks for tests (data-testid):
//   account   tab-signup tab-login signup-form login-form username email password signup-submit login-submit
//             session-ended go-login go-signup logout me-button
//   writing   new-post composer-form composer-title composer-content composer-tags publish
//   feed      tab-all tab-home tab-trending refresh feed load-more new-above empty
//   a post    post-card (data-post-id) post-open post-title post-author like-button like-count comment-button
//             comment-count bookmark-button share-button share-count post-menu edit-post archive-post delete-post
//   opened    post-dialog presence-count comment-form comment-input comment-send comment (data-comment-id)
//             comment-edited comment-reply comment-edit comment-delete comment-edit-input comment-save
//             comments-more follow-button
//   dialogs   edit-dialog edit-title edit-content edit-tags edit-save stale-notice stale-load stale-overwrite
//             confirm-dialog confirm-yes confirm-no profile-dialog followers-count following-count keys-dialog
//   bell      bell bell-count inbox-dialog inbox notification (data-notification-id) mark-all-read
//   trending  trending trending-item (data-post-id) window-1h window-24h window-7d explain explanation trending-all
//   the rest  connection-state (data-state) reconnect latency (data-last) theme-toggle show-keys toasts toast retry

import { announce, attempt, confirmed, dialogsOpen, fill, onSubmit, openDialog, setUpDialogs, toast } from "/console/dialogs.js";
import { $, ago, avatar, closeButton, compact, count, h, icon, markdown, nameOf, preview, say, uuid, when } from "/console/markup.js";
import { Realtime } from "/console/realtime.js";
import { api, get, identity } from "/console/requests.js";
import { latency, write } from "/console/writes.js";

// ---- Session. ----

const SESSION_KEY = "carillon.session";

const state = {
  session: null, // {token, user}
  tab: "all",
  posts: new Map(), // id -> post, as far as it is known here
  titles: new Map(), // id -> title, of posts that notifications name
  people: new Map(), // id -> person, likewise
  opened: null, // the post that is open: {id, comments: Map}
  following: null, // ids of whom I follow, once known
  inbox: { items: [], unread: 0, version: -1, loaded: false },
  window: "24h",
};

const me = () => state.session?.user ?? null;
const isMe = (person) => person?.id !== undefined && person.id === me()?.id;

function keepSession(session) {
  state.session = session;
  Object.assign(identity, { token: session?.token ?? null, user: session?.user ?? null });
  try {
    if (session) localStorage.setItem(SESSION_KEY, JSON.stringify(session));
    else localStorage.removeItem(SESSION_KEY);
  } catch { /* Without storage the session lasts as long as the page. */ }
  document.body.classList.toggle("is-in", Boolean(session));
  $("me-button").replaceChildren(...(session ? [avatar(session.user)] : []));
}

function keptSession() {
  try { return JSON.parse(localStorage.getItem(SESSION_KEY)); } catch { return null; }
}

async function logIn(login, password) {
  const { token, user } = await write("POST", "/v1/sessions", { login, password }, "Your login");
  enter({ token, user });
}

function enter(session) {
  keepSession(session);
  $("session-ended").hidden = true;
  state.inbox = { items: [], unread: 0, version: -1, loaded: false };
  state.following = null;
  showUnread();
  realtime.start(session.token);
  realtime.subscribe("feed:all");
  realtime.subscribe(`trending:${state.window}`);
  loadFeed();
  loadFollowing();
  if (state.opened) watchPost(state.opened.id);
}

function leave() {
  keepSession(null);
  realtime.stop();
  dialogsOpen.slice().forEach((dialog) => dialog.close());
  document.body.classList.remove("is-writing");
  selectTab("all");
}

function sessionEnded() {
  if (!state.session) return;
  leave();
  chooseAccountForm("login");
  $("session-ended").hidden = false;
  $("welcome").scrollIntoView({ block: "start" });
  $("login-form").elements.login.focus({ preventScroll: true });
}

/** For what needs a login: says so, and shows where. */
function mayWrite() {
  if (me()) return true;
  dialogsOpen.slice().forEach((dialog) => dialog.close());
  toast("Log in or sign up to take part.");
  askForAccount("signup");
  return false;
}

function askForAccount(which) {
  chooseAccountForm(which);
  $("welcome").scrollIntoView({ block: "center" });
  $(`${which}-form`).elements[0].focus();
}

function chooseAccountForm(which) {
  for (const name of ["signup", "login"]) {
    $(`panel-${name}`).hidden = name !== which;
    markTab($(`tab-${name}`), name === which);
  }
}

function markTab(tab, selected) {
  tab.setAttribute("aria-selected", String(selected));
  tab.tabIndex = selected ? 0 : -1;
}

function setUpAccount() {
  identity.refused = sessionEnded;
  $("tab-signup").onclick = () => chooseAccountForm("signup");
  $("tab-login").onclick = () => chooseAccountForm("login");
  $("go-signup").onclick = () => askForAccount("signup");
  $("go-login").onclick = () => askForAccount("login");
  onSubmit($("signup-form"), async ({ username, email, password }) => {
    await write("POST", "/v1/users", { username: username.trim(), email: email.trim(), password }, "Your registration");
    await logIn(username.trim(), password);
    $("signup-form").reset();
    toast(`Welcome, ${nameOf(me())}.`);
  });
  onSubmit($("login-form"), async ({ login, password }) => {
    await logIn(login.trim(), password);
    $("login-form").reset();
  });
  $("logout").onclick = () => attempt($("logout"), async () => {
    const { session } = state;
    realtime.stop(); // The hub closes it otherwise, and that would look like a session that ended by itself.
    try {
      await write("DELETE", "/v1/sessions/current", undefined, "Logging out");
    } catch (problem) {
      if (state.session === session) enter(session);
      throw problem;
    }
    leave();
    toast("You are logged out.");
  });
  $("me-button").onclick = () => showProfile(me().id);
  addEventListener("storage", ({ key }) => {
    if (key !== SESSION_KEY) return;
    const kept = keptSession();
    if (kept?.token === state.session?.token) return;
    if (kept) enter(kept);
    else leave();
  });
}

const byName = (person, test) =>
  h("button", { class: "name", type: "button", test, onclick: () => showProfile(person.id) }, nameOf(person));

// ---- Posts: what is known of each, and every place where it is shown. ----

const path = (id, rest = "") => `/v1/posts/${encodeURIComponent(id)}${rest}`;
const COUNTS = ["likes", "comments", "views", "shares", "bookmarks"];

/** Takes in what an answer or a publication says of a post, and shows it wherever the post stands. */
function learn(news, { whole = false } = {}) {
  const held = state.posts.get(news.id) ?? { id: news.id, counts: {} };
  const post = { ...held, ...news, counts: { ...held.counts, ...news.counts } };
  // Publications carry the excerpt only; of the same version, the whole text is already here.
  if (held.whole && !whole && (news.version ?? held.version) === held.version) post.content = held.content;
  else if (news.content !== undefined) post.whole = whole;
  state.posts.set(post.id, post);
  if (post.author) state.people.set(post.author.id, post.author);
  const rewritten = news.version !== undefined && held.version !== undefined && news.version !== held.version;
  for (const place of placesOf(post.id)) {
    if (rewritten && place.dataset.testid === "post-card") place.replaceWith(postCard(post));
    else paintCounts(place, post);
  }
  if (rewritten && state.opened?.id === post.id) paintOpened(post);
  // The ranking is told again only once a score changes; its titles need not wait for that.
  if (rewritten && ranked.some((item) => item.post_id === post.id)) paintTrending(ranked.map((item) => (item.post_id === post.id ? { ...item, title: post.title } : item)));
  return post;
}

const placesOf = (id) => document.querySelectorAll(`[data-post-id="${CSS.escape(id)}"]:is(.post, .opened)`);

/** The answer to a like, a bookmark or a share: the new count and whether it is mine. */
function learnAnswer(id, answer) {
  const counts = Object.fromEntries(COUNTS.filter((name) => typeof answer?.[name] === "number").map((name) => [name, answer[name]]));
  const mine = Object.fromEntries(["liked", "bookmarked"].filter((name) => name in (answer ?? {})).map((name) => [name, answer[name]]));
  learn({ id, counts: answer?.counts ?? counts, ...mine });
}

function paintCounts(place, post) {
  const number = (test, value) => {
    const node = place.querySelector(`[data-testid="${test}"]`);
    const text = compact.format(value ?? 0);
    if (!node || node.textContent === text) return;
    node.textContent = text;
    node.classList.remove("bump");
    void node.offsetWidth; // Restarts the animation.
    node.classList.add("bump");
  };
  number("like-count", post.counts.likes);
  number("comment-count", post.counts.comments);
  number("share-count", post.counts.shares);
  place.querySelector('[data-testid="like-button"]')?.setAttribute("aria-pressed", String(Boolean(post.liked)));
  place.querySelector('[data-testid="bookmark-button"]')?.setAttribute("aria-pressed", String(Boolean(post.bookmarked)));
}

function postCard(post) {
  return h("article", { class: "post", test: "post-card", "data-post-id": post.id, tabindex: "0", "aria-label": `${post.title}, by ${nameOf(post.author)}` },
    byline(post),
    h("h3", { class: "post-title" }, h("button", { type: "button", test: "post-open", onclick: () => openPost(post.id) }, post.title)),
    post.excerpt ? preview(post.excerpt) : markdown(post.content), tagsOf(post), actionsOf(post));
}

function byline(post) {
  const minutes = post.reading_minutes ? ` · ${post.reading_minutes} min read` : "";
  return h("div", { class: "byline" }, avatar(post.author),
    h("div", { class: "who" }, byName(post.author, "post-author"), h("span", null, when(post.published_at ?? post.created_at), minutes)),
    post.status === "published" || !post.status ? null : h("span", { class: "status-tag" }, post.status));
}

const tagsOf = (post) => (post.tags?.length ? h("ul", { class: "tags", "aria-label": "Tags" }, post.tags.map((tag) => h("li", null, tag))) : null);

function actionsOf(post) {
  const action = (test, picture, label, onclick, { counted = null, value = 0, pressed } = {}) =>
    h("button", { class: "action", type: "button", test, title: label, "aria-label": counted ? null : label, "aria-pressed": pressed === undefined ? null : String(Boolean(pressed)), onclick },
      icon(picture), counted && h("span", { class: "visually-hidden" }, `${label} `), counted && h("span", { test: counted }, compact.format(value ?? 0)));
  return h("div", { class: "actions" },
    action("like-button", "heart", "Like", (event) => toggle(post.id, "like", event.currentTarget), { counted: "like-count", value: post.counts.likes, pressed: post.liked }),
    action("comment-button", "comment", "Comments", () => openPost(post.id, true), { counted: "comment-count", value: post.counts.comments }),
    action("share-button", "share", "Share", (event) => share(post.id, event.currentTarget), { counted: "share-count", value: post.counts.shares }),
    h("span", { class: "spacer" }),
    action("bookmark-button", "bookmark", "Bookmark", (event) => toggle(post.id, "bookmark", event.currentTarget), { pressed: post.bookmarked }),
    isMe(post.author) && ownMenu(post));
}

function ownMenu(post) {
  const entry = (test, label, work) => h("button", { type: "button", test, onclick: (event) => { event.currentTarget.closest("details").open = false; work(); } }, label);
  return h("details", { class: "menu" },
    h("summary", { class: "action", test: "post-menu", role: "button", "aria-label": "More for your post" }, icon("more")),
    h("div", null,
      entry("edit-post", "Edit", () => editPost(post.id)),
      entry("archive-post", "Archive", () => attempt(null, () => archivePost(post.id))),
      entry("delete-post", "Delete", () => attempt(null, () => deletePost(post.id)))));
}

/** Listens to a post for a moment, so that the publication of one's own write to it is heard. */
const listening = new Map();
function listen(id) {
  realtime.subscribe(`post:${id}`);
  clearTimeout(listening.get(id));
  listening.set(id, setTimeout(() => {
    listening.delete(id);
    if (state.opened?.id !== id) realtime.unsubscribe(`post:${id}`);
  }, 3000));
}

/** Likes or bookmarks, or takes it back. The mark shows at once; the number is the hub's. */
function toggle(id, kind, button) {
  if (!mayWrite()) return undefined;
  const [flag, types] = kind === "like" ? ["liked", ["post.liked", "post.unliked"]] : ["bookmarked", ["post.bookmarked", "counters.corrected"]];
  const on = !state.posts.get(id)?.[flag];
  return attempt(button, async () => {
    listen(id);
    learn({ id, [flag]: on });
    try {
      const told = (data) => data.post_id === id && data.type === types[on ? 0 : 1];
      learnAnswer(id, await write(on ? "PUT" : "DELETE", path(id, `/${kind}`), undefined, `Your ${kind}`, told));
    } catch (problem) {
      learn({ id, [flag]: !on });
      throw problem;
    }
  });
}

function share(id, button) {
  return attempt(button, async () => {
    const url = new URL(`#/post/${id}`, location.href).href;
    const post = state.posts.get(id);
    try {
      if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ title: post?.title, url });
      else await navigator.clipboard.writeText(url);
      toast("The link is copied.");
    } catch {
      toast(url);
    }
    if (!me()) return;
    listen(id);
    learnAnswer(id, await write("POST", path(id, "/share"), {}, "Your share", (data) => data.type === "post.shared" && data.post_id === id));
  });
}

async function archivePost(id) {
  const { version } = state.posts.get(id);
  const post = await write("PATCH", path(id), { status: "archived", version }, "The change");
  removePost(id);
  const undo = h("button", { class: "button compact", type: "button", onclick: () => attempt(undo, async () => {
    addToFeed(learn(await write("PATCH", path(id), { status: "published", version: post?.version ?? version + 1 }, "The change"), { whole: true }));
    toast("It is public again.");
  }) }, "Undo");
  toast("The post is archived.", { action: undo });
}

async function deletePost(id) {
  const title = state.posts.get(id)?.title ?? "this post";
  if (!(await confirmed("Delete the post?", `“${title}” and its comments go for good.`, "Delete it"))) return;
  await write("DELETE", path(id), undefined, "The deletion");
  removePost(id);
  toast("The post is deleted.");
}

function removePost(id) {
  document.querySelectorAll(`.post[data-post-id="${CSS.escape(id)}"]`).forEach((node) => node.remove());
  state.posts.delete(id);
  if (ranked.some((item) => item.post_id === id)) paintTrending(ranked.filter((item) => item.post_id !== id).map((item, index) => ({ ...item, rank: index + 1 })));
  if (state.opened?.id === id) $("post-dialog").close();
  if (!$("feed").querySelector(".post")) showEmptyFeed();
}

async function editPost(id) {
  const dialog = $("edit-dialog");
  let post = await attempt(null, async () => learn(await get(path(id)), { whole: true }));
  if (!post) return;
  const field = (label, node) => h("label", null, label, node);
  const title = h("input", { name: "title", test: "edit-title", maxlength: "200", value: post.title });
  const content = h("textarea", { name: "content", test: "edit-content", rows: "10", value: post.content });
  const tags = h("input", { name: "tags", test: "edit-tags", value: (post.tags ?? []).join(", ") });
  const stale = h("div", { class: "notice", test: "stale-notice", role: "alert", hidden: true },
    h("p", null, "This post was changed elsewhere while you edited it. Nothing is lost: your text is still below."),
    h("div", { class: "row" },
      h("button", { class: "button compact", type: "button", test: "stale-load", onclick: () => { stale.hidden = true; title.value = post.title; content.value = post.content; tags.value = (post.tags ?? []).join(", "); } }, "Take the newest"),
      h("button", { class: "button compact", type: "submit", test: "stale-overwrite" }, "Save mine over it")));
  const form = h("form", { novalidate: true }, stale, field("Title", title), field("Text", content), field("Tags", tags),
    h("div", { class: "row end" }, h("button", { class: "button quiet", type: "button", "data-close": true }, "Cancel"), h("button", { class: "button primary", type: "submit", test: "edit-save" }, "Save")));
  onSubmit(form, async (fields) => {
    listen(id);
    try {
      const changes = { title: fields.title.trim(), content: fields.content, tags: tagList(fields.tags), version: post.version };
      learn(await write("PATCH", path(id), changes, "Your edit", (data) => data.type === "post.updated" && (data.post_id ?? data.post?.id) === id), { whole: true });
    } catch (problem) {
      if (problem.code !== "stale_version") throw problem;
      post = learn(await get(path(id)), { whole: true });
      stale.hidden = false;
      stale.scrollIntoView({ block: "nearest" });
      return;
    }
    dialog.close();
    toast("Your changes are public.");
  });
  fill(dialog, h("div", { class: "sheet-head" }, h("h2", { id: "edit-title", class: "grow" }, "Edit the post"), closeButton()), form);
  openDialog(dialog);
}

const tagList = (text) => [...new Set(text.split(/[\s,]+/).map((tag) => tag.replace(/^#+/, "").toLowerCase()).filter(Boolean))];

// ---- Feed. ----

let feedAsked = 0;
let cursor = null;

async function loadFeed() {
  const asked = ++feedAsked, feed = $("feed");
  feed.setAttribute("aria-busy", "true");
  if (!feed.querySelector(".post")) feed.replaceChildren(...Array.from({ length: 3 }, () => h("div", { class: "post skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i"))));
  try {
    const { items, next_cursor: next } = await get(`/v1/feed${state.tab === "home" ? "/home" : ""}?limit=20`);
    if (asked !== feedAsked) return;
    feed.replaceChildren(...items.map((post) => postCard(learn(post, { whole: true }))));
    cursor = next;
    $("load-more").hidden = !next;
    $("new-above").hidden = true;
    if (!items.length) showEmptyFeed();
  } catch (problem) {
    if (asked !== feedAsked) return;
    if (!feed.querySelector(".post:not(.skeleton)")) feed.replaceChildren(emptyState("refresh", "The feed could not be loaded", problem.message, h("button", { class: "button", type: "button", onclick: loadFeed }, "Try again")));
    else toast(problem.message, { error: true });
  } finally {
    if (asked === feedAsked) feed.setAttribute("aria-busy", "false");
  }
}

async function loadMore() {
  await attempt($("load-more"), async () => {
    const asked = feedAsked;
    const { items, next_cursor: next } = await get(`/v1/feed${state.tab === "home" ? "/home" : ""}?limit=20&cursor=${encodeURIComponent(cursor)}`);
    if (asked !== feedAsked) return;
    for (const post of items) if (!cardOf(post.id)) $("feed").append(postCard(learn(post, { whole: true })));
    cursor = next;
    $("load-more").hidden = !next;
  });
}

const cardOf = (id) => $("feed").querySelector(`.post[data-post-id="${CSS.escape(id)}"]`);

function addToFeed(post) {
  if (cardOf(post.id)) return;
  $("feed").querySelectorAll(".empty, .skeleton").forEach((node) => node.remove());
  const card = postCard(post);
  card.classList.add("fresh");
  $("feed").prepend(card);
  if (isMe(post.author)) return;
  announce(`New post by ${nameOf(post.author)}: ${post.title}`);
  if (card.getBoundingClientRect().bottom < 64) {
    const fresh = Number($("new-above").dataset.count ?? 0) * !$("new-above").hidden + 1;
    $("new-above").dataset.count = String(fresh);
    $("new-above").textContent = `${count(fresh, "new post")} above`;
    $("new-above").hidden = false;
  }
}

const emptyState = (picture, title, text, ...more) => h("div", { class: "empty", test: "empty" }, icon(picture), h("h3", null, title), h("p", null, text), ...more);

function showEmptyFeed() {
  $("feed").replaceChildren(state.tab === "home"
    ? emptyState("person", "Nothing here yet", "Posts of people whom you follow come together here. Open a name to follow it.")
    : emptyState("bell", "It is quiet here", "The first post rings for everyone who is connected."));
}

function selectTab(name) {
  if (name === "home" && !mayWrite()) return;
  for (const tab of ["all", "home", "trending"]) markTab($(`tab-${tab}`), tab === name);
  document.body.classList.toggle("shows-trending", name === "trending");
  if (name === "trending" || (name === state.tab && $("feed").querySelector(".post"))) return;
  state.tab = name;
  $("feed").replaceChildren();
  loadFeed();
}

/** Posts on screen whose score jumped, or of which the inbox tells: their counts are asked for again, a few at a time.
    Their own channels would say so too, but whoever joins those counts as present on the post. */
const stale = new Set();
let staleTimer = 0;
function mayBeStale(id) {
  const box = cardOf(id)?.getBoundingClientRect();
  if (!box || box.bottom < 0 || box.top > innerHeight || document.hidden || state.opened?.id === id || listening.has(id)) return;
  stale.add(id);
  staleTimer ||= setTimeout(() => {
    const ids = [...stale].slice(0, 6);
    stale.clear();
    staleTimer = 0;
    for (const each of ids) get(path(each)).then((post) => learn(post, { whole: true })).catch(() => {});
  }, 150 + Math.random() * 350);
}

function setUpFeed() {
  for (const name of ["all", "home", "trending"]) $(`tab-${name}`).onclick = () => selectTab(name);
  for (const list of document.querySelectorAll("[role=tablist]")) list.addEventListener("keydown", ({ key }) => {
    const tabs = [...list.querySelectorAll("[role=tab]")].filter((tab) => tab.checkVisibility());
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
  $("refresh").onclick = () => { loadFeed(); loadTrending(); };
  $("load-more").onclick = loadMore;
  $("new-above").onclick = () => { $("new-above").hidden = true; scrollTo({ top: 0, behavior: "smooth" }); };
  document.addEventListener("click", ({ target }) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  });
}

// ---- Composer. ----

function openComposer() {
  if (!mayWrite()) return;
  document.body.classList.add("is-writing");
  $("composer").scrollIntoView({ block: "nearest" });
  $("composer-form").elements.title.focus();
}

function setUpComposer() {
  const form = $("composer-form");
  $("new-post").onclick = openComposer;
  $("close-composer").onclick = () => document.body.classList.remove("is-writing");
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape") document.body.classList.remove("is-writing");
  });
  onSubmit(form, async ({ title, content, tags }) => {
    const body = { title: title.trim(), content, tags: tagList(tags) };
    const told = (data) => data.type === "post.published" && data.post?.title === body.title;
    const post = await write("POST", "/v1/posts", body, "Your post", told);
    // The post may be seen before the answer comes; what was written since is the next one.
    const sent = Object.entries({ title, content, tags });
    if (sent.every(([name, value]) => form.elements[name].value === value)) {
      form.reset();
      document.body.classList.remove("is-writing");
    }
    if (state.tab === "all") addToFeed(learn(post, { whole: true }));
    announce("Your post is published.");
  });
}

// ---- One post, opened. ----

function openPost(id, toComments = false) {
  if (location.hash === `#/post/${id}`) showPost(id, toComments);
  else {
    openingToComments = toComments;
    location.hash = `#/post/${id}`;
  }
}

let openingToComments = false;

function route() {
  const id = /^#\/post\/([0-9a-f]{24})$/.exec(location.hash)?.[1];
  if (id) showPost(id, openingToComments);
  else if ($("post-dialog").open) $("post-dialog").close();
  openingToComments = false;
}

async function showPost(id, toComments) {
  const dialog = $("post-dialog");
  if (state.opened && state.opened.id !== id) unwatchPost();
  for (const other of dialogsOpen.slice()) if (other !== dialog) other.close();
  const opened = { id, comments: new Map(), timer: 0 };
  state.opened = opened;
  fill(dialog, h("div", { class: "sheet-head" }, h("span", { class: "grow" }), closeButton()), h("div", { class: "skeleton" }, h("i"), h("i"), h("i"), h("i")));
  openDialog(dialog);
  try {
    const [post, comments] = await Promise.all([get(path(id)), get(path(id, "/comments?limit=100"))]);
    if (state.opened !== opened) return;
    learn(post, { whole: true });
    paintOpened(state.posts.get(id));
    paintComments(comments);
    dialog.scrollTop = 0;
    if (toComments) dialog.querySelector('[data-testid="comment-input"]').focus();
    if (me()) {
      watchPost(id);
      api("POST", path(id, "/view"), {}, uuid()).catch(() => {}); // Nobody waits for it.
    }
  } catch (problem) {
    if (state.opened !== opened) return;
    const gone = problem.status === 404;
    fill(dialog, h("div", { class: "sheet-head" }, h("span", { class: "grow" }), closeButton()),
      emptyState("comment", gone ? "This post is gone" : "The post could not be loaded", gone ? "Its author removed or archived it." : problem.message));
  }
}

function paintOpened(post) {
  const dialog = $("post-dialog");
  const kept = dialog.querySelector(".comments");
  const content = h("div", { class: "opened", test: "post-opened", "data-post-id": post.id },
    h("h2", { class: "post-title", id: "post-dialog-title", test: "post-title" }, post.title), markdown(post.content), tagsOf(post), actionsOf(post));
  const presence = h("span", { class: "presence off", title: "People who have this post open" }, h("span", null, h("span", { test: "presence-count" }, "0"), " here now"));
  const old = dialog.querySelector(".presence");
  fill(dialog, h("div", { class: "sheet-head" }, byline(post), old ?? presence, isMe(post.author) ? null : followButton(post.author.id), closeButton()), content, kept ?? commentsSection(post));
}

function watchPost(id) {
  realtime.subscribe(`post:${id}`);
  clearInterval(state.opened.timer);
  state.opened.timer = setInterval(askPresence, 5000);
  askPresence();
}

async function askPresence() {
  const opened = state.opened;
  if (!opened || !realtime.live) return;
  try {
    const { presence_stats: stats } = await realtime.call({ presence_stats: { channel: `post:${opened.id}` } });
    if (state.opened !== opened) return;
    const node = $("post-dialog").querySelector(".presence");
    say(node?.querySelector("[data-testid=presence-count]"), String(stats.num_users ?? 0));
    node?.classList.toggle("off", !stats.num_users);
  } catch { /* It is asked again in five seconds. */ }
}

function unwatchPost() {
  if (!state.opened) return;
  clearInterval(state.opened.timer);
  realtime.unsubscribe(`post:${state.opened.id}`);
  state.opened = null;
}

// ---- Comments: threads of one level, the newest thread first, answers in order. ----

function commentsSection(post) {
  const form = commentForm(post.id, null, "Write a comment");
  return h("section", { class: "comments", "aria-label": "Comments" }, form,
    h("div", { class: "thread", id: "threads" }), h("button", { class: "link", type: "button", test: "comments-more", hidden: true }, "Show more comments"));
}

function commentForm(postId, parentId, label, start = "") {
  const input = h("textarea", { name: "content", rows: "1", test: "comment-input", "aria-label": label, placeholder: label, value: start });
  const form = h("form", { class: "comment-form", test: "comment-form", novalidate: true }, input, h("button", { class: "button primary", type: "submit", test: "comment-send" }, "Send"));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  onSubmit(form, async () => {
    const content = input.value.trim();
    if (!content) return input.focus();
    if (!mayWrite()) return undefined;
    const body = parentId ? { content, parent_id: parentId } : { content };
    const told = (data) => data.type === "post.commented" && data.post_id === postId && data.comment?.content === content;
    const comment = await write("POST", path(postId, "/comments"), body, "Your comment", told);
    if (input.value.trim() === content) input.value = "";
    if (comment?.id) applyComment(comment);
    if (parentId) form.remove();
    return undefined;
  });
  return form;
}

function paintComments({ items, next_cursor: next }) {
  for (const comment of [...items].sort((a, b) => (a.created_at < b.created_at ? -1 : 1))) applyComment(comment, false);
  const threads = $("threads");
  if (!threads.childElementCount) threads.append(h("p", { class: "muted none" }, "No comments yet."));
  const more = $("post-dialog").querySelector("[data-testid=comments-more]");
  more.hidden = !next;
  const id = state.opened.id;
  more.onclick = () => attempt(more, async () => {
    const page = await get(path(id, `/comments?limit=100&cursor=${encodeURIComponent(next)}`));
    if (state.opened?.id === id) paintComments(page);
  });
}

const commentNode = (id) => $("post-dialog").querySelector(`.comment[data-comment-id="${CSS.escape(id)}"]`);

/** Shows a comment that is new or was changed. */
function applyComment(comment, fresh = true) {
  const opened = state.opened;
  if (opened?.id !== comment.post_id || !$("threads")) return;
  opened.comments.set(comment.id, comment);
  const node = drawComment(comment), old = commentNode(comment.id);
  $("threads").querySelector(".none")?.remove();
  if (old) return old.replaceWith(node);
  if (fresh) {
    node.classList.add("fresh");
    if (!isMe(comment.author)) announce(`${nameOf(comment.author)} commented: ${comment.content.slice(0, 120)}`);
  }
  threadOf(comment).querySelector(comment.parent_id ? ".replies" : ".first").append(node);
}

/** The thread of a comment or of its parent, which may have been removed or not have come yet. */
function threadOf(comment) {
  const id = comment.parent_id ?? comment.id;
  const held = $("threads").querySelector(`[data-thread="${CSS.escape(id)}"]`);
  if (held) return held;
  const thread = h("div", { class: "thread", "data-thread": id, "data-at": comment.created_at }, h("div", { class: "first" }), h("div", { class: "replies" }));
  const older = [...$("threads").children].find((other) => other.dataset.at <= comment.created_at);
  if (older) older.before(thread);
  else $("threads").append(thread);
  return thread;
}

function drawComment(comment) {
  const mine = isMe(comment.author);
  const tool = (test, label, work) => h("button", { class: "link", type: "button", test, onclick: work }, label);
  const body = h("div", { class: "body" }, markdown(comment.content),
    h("div", { class: "tools" },
      me() && tool("comment-reply", "Reply", () => replyTo(comment)),
      mine && tool("comment-edit", "Edit", () => editComment(comment, body)),
      mine && tool("comment-delete", "Delete", (event) => attempt(event.currentTarget, () => deleteComment(comment)))));
  return h("article", { class: "comment", test: "comment", "data-comment-id": comment.id, "data-parent-id": comment.parent_id },
    avatar(comment.author),
    h("div", { class: "meta" }, byName(comment.author), when(comment.created_at), comment.edited && h("span", { test: "comment-edited" }, "edited")), body);
}

function replyTo(comment) {
  const thread = threadOf(comment);
  thread.querySelector("form")?.remove();
  const form = commentForm(comment.post_id, comment.parent_id ?? comment.id, `Reply to ${nameOf(comment.author)}`, `@${comment.author.username} `);
  thread.append(form);
  form.elements.content.focus();
}

function editComment(comment, body) {
  const input = h("textarea", { name: "content", test: "comment-edit-input", "aria-label": "Your comment", value: comment.content });
  const form = h("form", { class: "comment-form", novalidate: true }, input,
    h("button", { class: "button quiet", type: "button", onclick: () => applyComment(comment, false) }, "Cancel"),
    h("button", { class: "button primary", type: "submit", test: "comment-save" }, "Save"));
  onSubmit(form, async () => {
    const content = input.value.trim();
    const told = (data) => data.type === "comment.edited" && data.comment?.id === comment.id;
    const answer = await write("PATCH", `/v1/comments/${encodeURIComponent(comment.id)}`, { content }, "Your edit", told);
    applyComment({ ...comment, content, edited: true, ...answer }, false);
  });
  body.replaceChildren(form);
  input.focus();
}

async function deleteComment(comment) {
  if (!(await confirmed("Delete the comment?", "It goes for good.", "Delete it"))) return;
  const told = (data) => data.type === "comment.removed" && data.comment?.id === comment.id;
  await write("DELETE", `/v1/comments/${encodeURIComponent(comment.id)}`, undefined, "The deletion", told);
  removeComment(comment.id);
}

function removeComment(id) {
  const node = commentNode(id), thread = node?.closest("[data-thread]");
  state.opened?.comments.delete(id);
  if (!node) return;
  const answers = thread.querySelectorAll(".replies > .comment").length;
  if (thread.dataset.thread === id && answers) node.replaceWith(h("p", { class: "muted" }, "This comment was removed."));
  else if (thread.dataset.thread === id) thread.remove();
  else node.remove();
}

// ---- Inbox. ----

const SAYINGS = { liked: "likes your post", commented: "commented on", mentioned: "mentioned you in", followed: "follows you", posted: "published" };

/** The unread count, unless a later one is here: `version` grows with every change of the inbox. */
function takeUnread({ unread_count: unread, version }) {
  const { inbox } = state;
  if (unread === undefined || (version !== undefined && version < inbox.version)) return;
  inbox.unread = unread;
  if (version !== undefined) inbox.version = version;
  showUnread();
}

function showUnread() {
  const { unread } = state.inbox;
  $("bell-count").hidden = !unread;
  $("bell-count").textContent = unread > 99 ? "99+" : String(unread);
  $("bell").setAttribute("aria-label", unread ? `Notifications, ${unread} unread` : "Notifications");
  document.title = unread && me() ? `(${unread}) Carillon` : "Carillon";
}

const titleOf = (postId) => state.posts.get(postId)?.title ?? state.titles.get(postId);
const personOf = (actor) => state.people.get(actor?.id) ?? actor;

/** Notifications name posts by id and people by username: titles and names that are not known here are asked for. */
async function nameAll() {
  const { items } = state.inbox;
  const unknown = (ids, known) => [...new Set(ids)].filter((id) => id && !known(id)).slice(0, 20);
  const posts = unknown(items.map((item) => item.post_id), (id) => titleOf(id) !== undefined);
  const people = unknown(items.map((item) => item.actor?.id), (id) => state.people.has(id));
  await Promise.allSettled([
    ...posts.map((id) => get(path(id)).then(({ title }) => state.titles.set(id, title))),
    ...people.map((id) => get(`/v1/users/${id}`).then((user) => state.people.set(id, user))),
  ]);
  if (posts.length + people.length && $("inbox-dialog").open) paintInbox();
}

async function loadInbox() {
  if (!me()) return;
  const { version } = state.inbox;
  if (!state.inbox.items.length) $("inbox").replaceChildren(h("li", { class: "skeleton" }, h("i"), h("i")));
  try {
    const answer = await get("/v1/notifications?limit=50");
    // What came live while this was on its way is newer and stays.
    const known = new Set(answer.items.map(({ id }) => id));
    const later = state.inbox.version > version ? state.inbox.items.filter(({ id }) => !known.has(id)) : [];
    state.inbox.items = [...later, ...answer.items];
    if (state.inbox.version === version || answer.version !== undefined) takeUnread(answer);
    paintInbox();
    nameAll();
  } catch (problem) {
    $("inbox").replaceChildren(h("li", null, emptyState("bell", "The inbox could not be loaded", problem.message)));
  }
}

function paintInbox() {
  const { items } = state.inbox;
  const focused = document.activeElement?.dataset.notificationId;
  $("inbox").replaceChildren(...(items.length ? items.map((item) => h("li", null, drawNotification(item)))
    : [h("li", null, emptyState("bell", "Nothing rang yet", "Likes, comments, mentions and new followers come here."))]));
  if (focused) $("inbox").querySelector(`[data-notification-id="${CSS.escape(focused)}"]`)?.focus();
}

function drawNotification(item) {
  const title = titleOf(item.post_id), actor = personOf(item.actor);
  const object = item.type === "followed" ? "" : title ? ` “${title}”` : { posted: " a post", mentioned: " a comment", commented: " your post" }[item.type] ?? "";
  const saying = title && item.type === "liked" ? "likes" : SAYINGS[item.type] ?? "did something with";
  return h("button", { class: `notification ${item.read ? "" : "unread"}`, type: "button", test: "notification", "data-notification-id": item.id, "data-type": item.type, onclick: () => followNotification(item) },
    avatar(actor), h("span", null, h("b", null, nameOf(actor)), ` ${saying}${object}`, item.read ? null : h("span", { class: "visually-hidden" }, " (unread)"), when(item.created_at)));
}

function followNotification(item) {
  if (!item.read) attempt(null, () => write("POST", `/v1/notifications/${encodeURIComponent(item.id)}/read`, undefined, "The mark", readOf([item.id])));
  $("inbox-dialog").close();
  if (item.post_id) openPost(item.post_id, item.type === "commented" || item.type === "mentioned");
  else if (item.actor) showProfile(item.actor.id);
}

const readOf = (ids) => (data) => data.type === "notification.read" && (!ids || (data.ids ?? []).some((id) => ids.includes(id)));

function markRead(matches) {
  state.inbox.items = state.inbox.items.map((item) => (matches(item) ? { ...item, read: true } : item));
  if ($("inbox-dialog").open) paintInbox();
}

function onInbox(data) {
  takeUnread(data);
  if (data.type === "notification.read") {
    markRead((item) => data.ids?.includes(item.id) || (data.through && item.created_at <= data.through));
  } else if (data.notification && !state.inbox.items.some(({ id }) => id === data.notification.id)) {
    const item = data.notification;
    state.inbox.items.unshift(item);
    if ($("inbox-dialog").open) paintInbox();
    $("bell").classList.remove("ringing");
    void $("bell").offsetWidth;
    $("bell").classList.add("ringing");
    if ($("inbox-dialog").open) nameAll();
    announce(`${nameOf(personOf(item.actor))} ${SAYINGS[item.type] ?? "did something"}`);
    if (item.type === "posted" && state.tab === "home" && item.post_id) get(path(item.post_id)).then((post) => addToFeed(learn(post, { whole: true })), () => {});
    else if (item.post_id) mayBeStale(item.post_id);
  }
}

function setUpInbox() {
  $("bell").onclick = () => {
    paintInbox();
    openDialog($("inbox-dialog"));
    loadInbox();
  };
  $("mark-all-read").onclick = () => attempt($("mark-all-read"), async () => {
    takeUnread((await write("POST", "/v1/notifications/read-all", undefined, "The mark", readOf(null))) ?? {});
    markRead(() => true);
    if (!realtime.live) takeUnread({ unread_count: 0 });
  });
}

// ---- Trending. ----

const RANKS_SHOWN = 10;
let ranked = [];
let showingAll = false;
let explaining = false;
let explainAt = 0;

async function loadTrending() {
  const { window: asked } = state;
  explainAt = performance.now();
  if (!ranked.length) $("trending").replaceChildren(...Array.from({ length: 4 }, () => h("li", { class: "skeleton" }, h("i"), h("i"))));
  try {
    const answer = await get(`/v1/trending?limit=20&window=${asked}${explaining ? "&explain=true" : ""}`);
    if (asked === state.window) paintTrending(answer.items ?? answer);
  } catch (problem) {
    $("trending").replaceChildren(h("li", { class: "muted" }, problem.message));
  }
}

function paintTrending(items) {
  const before = new Map(ranked.map((item) => [item.post_id, item]));
  ranked = items;
  const focused = document.activeElement?.closest?.("[data-testid=trending-item]")?.dataset.postId;
  $("trending").replaceChildren(...items.slice(0, showingAll ? items.length : RANKS_SHOWN).map((item, index) => {
    const rank = item.rank ?? index + 1, held = before.get(item.post_id);
    const moved = before.size && (!held || rank < held.rank);
    const node = h("li", { test: "trending-item", "data-post-id": item.post_id, class: moved ? "moved" : null },
      h("button", { class: "go", type: "button", onclick: () => openPost(item.post_id) },
        h("span", { class: "rank" }, String(rank)), h("span", { class: "title" }, item.title), h("span", { class: "score", title: "Score" }, Number(item.score).toFixed(1)), h("span", { class: "by" }, nameOf(item.author))),
      explaining && drawExplanation(item.explain));
    return node;
  }));
  if (!items.length) $("trending").append(h("li", { class: "muted" }, "Nothing moved in this time. A view, a like or a comment puts a post here."));
  $("trending-all").hidden = items.length <= RANKS_SHOWN;
  say($("trending-all"), showingAll ? `Only the first ${RANKS_SHOWN}` : `All ${items.length}`);
  if (focused) $("trending").querySelector(`[data-post-id="${CSS.escape(focused)}"] button`)?.focus();
}

/** How each kind of interaction adds to a score, given as a list or by name. */
function drawExplanation(explain) {
  if (!explain) return null;
  const parts = Array.isArray(explain) ? explain.map((part) => [part.kind ?? part.interaction, part]) : Object.entries(explain);
  const rows = parts.filter(([, part]) => part && typeof part === "object" && "count" in part);
  return h("div", { class: "why", test: "explanation" }, rows.map(([kind, part]) =>
    h("div", null, h("span", null, `${part.count} ${part.count === 1 ? kind.replace(/s$/, "") : kind} × ${part.weight}`), h("span", null, Number(part.score).toFixed(1)))));
}

function onTrending({ items }) {
  if (!items) return;
  const before = new Map(ranked.map((item) => [item.post_id, item.score]));
  // Scores fade all the time; what jumps was touched.
  for (const { post_id: id, score } of items) if (Math.abs(score - (before.get(id) ?? 0)) > 0.2) mayBeStale(id);
  if (!explaining) return paintTrending(items);
  if (performance.now() - explainAt > 2000) loadTrending();
}

function setUpTrending() {
  for (const button of document.querySelectorAll("[data-window]")) button.onclick = () => {
    if (me()) realtime.unsubscribe(`trending:${state.window}`);
    state.window = button.dataset.window;
    ranked = [];
    for (const other of document.querySelectorAll("[data-window]")) other.setAttribute("aria-pressed", String(other === button));
    if (me()) realtime.subscribe(`trending:${state.window}`);
    loadTrending();
  };
  $("trending-all").onclick = () => {
    showingAll = !showingAll;
    paintTrending(ranked);
  };
  $("explain").onclick = () => {
    explaining = !explaining;
    $("explain").setAttribute("aria-pressed", String(explaining));
    $("explain").textContent = explaining ? "Hide the explanation" : "Explain the scores";
    loadTrending();
  };
}

// ---- Profiles and following. ----

async function loadFollowing() {
  const user = me();
  try {
    const ids = new Set();
    let next = "";
    for (let page = 0; page < 5 && next !== null; page += 1) {
      const answer = await get(`/v1/users/${user.id}/following?limit=200${next && `&cursor=${encodeURIComponent(next)}`}`);
      for (const item of answer.items) ids.add(item.id);
      next = answer.next_cursor ?? null;
    }
    if (me()?.id === user.id) state.following = ids;
    document.querySelectorAll("[data-testid=follow-button]").forEach(paintFollow);
  } catch { /* Then a button offers to follow; following twice is following once. */ }
}

function followButton(userId) {
  const button = h("button", { class: "button compact", type: "button", test: "follow-button", "data-user-id": userId, onclick: () => toggleFollow(userId, button) });
  paintFollow(button);
  return button;
}

function paintFollow(button) {
  const on = Boolean(state.following?.has(Number(button.dataset.userId)));
  button.setAttribute("aria-pressed", String(on));
  button.classList.toggle("primary", !on);
  button.textContent = on ? "Following" : "Follow";
}

function toggleFollow(userId, button) {
  if (!mayWrite()) return undefined;
  return attempt(button, async () => {
    state.following ??= new Set();
    const on = !state.following.has(userId);
    await write(on ? "PUT" : "DELETE", `/v1/users/${userId}/follow`, undefined, "Your change");
    if (on) state.following.add(userId);
    else state.following.delete(userId);
    document.querySelectorAll(`[data-testid=follow-button][data-user-id="${userId}"]`).forEach(paintFollow);
    if ($("profile-dialog").open) paintNumbers(await get(`/v1/users/${userId}`));
  });
}

function paintNumbers(user) {
  for (const name of ["followers", "following"]) say($("profile-dialog").querySelector(`[data-testid=${name}-count]`), compact.format(user[name] ?? 0));
}

async function showProfile(id) {
  const dialog = $("profile-dialog");
  const user = await attempt(null, () => get(`/v1/users/${id}`));
  if (!user) return;
  const number = (name) => h("div", null, h("dt", null, name), h("dd", { test: `${name}-count` }, "0"));
  const posts = h("ul", { class: "plain" });
  fill(dialog,
    h("div", { class: "sheet-head" }, avatar(user, "large"), h("div", { class: "grow" }, h("h2", null, nameOf(user)), h("p", { class: "muted" }, `@${user.username} · since ${new Date(user.created_at).toLocaleDateString("en", { month: "long", year: "numeric" })}`)),
      isMe(user) ? null : followButton(user.id), closeButton()),
    h("dl", { class: "numbers" }, number("followers"), number("following")), posts);
  paintNumbers(user);
  openDialog(dialog);
  const latest = await get(`/v1/posts?author=${id}&limit=5`).catch(() => ({ items: [] }));
  posts.replaceChildren(...(latest.items.length ? latest.items.map((post) => h("li", null, h("button", { type: "button", onclick: () => { dialog.close(); openPost(post.id); } }, post.title)))
    : [h("li", { class: "muted" }, "No posts yet.")]));
}

// ---- What the hub says. ----

function onPublication(channel, data) {
  if (channel === "feed:all") onFeed(data);
  else if (channel.startsWith("post:")) onPost(data);
  else if (channel.startsWith("trending:")) channel === `trending:${state.window}` && onTrending(data);
  else if (channel.startsWith("notifications:")) onInbox(data);
  latency.shown(data);
}

function onFeed(data) {
  const post = data.post ?? { id: data.post_id };
  if (data.type === "post.removed" || (post.status && post.status !== "published")) removePost(post.id);
  else if (data.type === "post.published") {
    const known = learn(post);
    if (state.tab === "all") addToFeed(known);
  } else if (data.type === "post.updated" && (state.posts.has(post.id) || state.opened?.id === post.id)) takeRewritten(post);
}

function onPost(data) {
  const id = data.post_id;
  if (data.type === "post.removed" || (data.post?.status && data.post.status !== "published" && !isMe(data.post.author))) return removePost(id);
  if (data.type === "post.updated" && data.post) takeRewritten(data.post);
  const mine = data.actor && isMe(data.actor);
  const flag = { "post.liked": { liked: true }, "post.unliked": { liked: false }, "post.bookmarked": { bookmarked: true } }[data.type];
  if (state.posts.has(id)) learn({ id, counts: data.counts, ...(mine ? flag : {}) });
  if (data.type === "comment.removed") removeComment(data.comment?.id ?? data.comment_id);
  else if (data.comment) applyComment(data.comment, data.type === "post.commented");
  return undefined;
}

/** A post that was edited; where it is open, its whole text is fetched, as publications carry the excerpt. */
async function takeRewritten(post) {
  const held = state.posts.get(post.id);
  if (held?.version >= post.version) return;
  learn(post);
  if (state.opened?.id === post.id) await get(path(post.id)).then((whole) => { learn(whole, { whole: true }); paintOpened(state.posts.get(post.id)); }, () => {});
}

/** What was missed can't be told one by one any more: it is read again. */
function onLost(channel) {
  if (channel === "feed:all") loadFeed();
  else if (channel.startsWith("notifications:")) loadInbox();
  else if (channel.startsWith("post:") && state.opened?.id === channel.slice(5)) showPost(state.opened.id, false);
}

let connection = { name: "signed-out", since: 0 };

function onConnection(name, detail) {
  const before = connection.name;
  if (name === "ended" && detail.code === 3500) return sessionEnded();
  connection = { name, detail, since: performance.now() };
  if ((name === "live" || name === "recovered") && before === "offline") {
    // Counts of posts that are not open are not recovered by channel.
    get(`/v1/feed${state.tab === "home" ? "/home" : ""}?limit=20`).then(({ items }) => items.forEach((post) => state.posts.has(post.id) && learn(post, { whole: true })), () => {});
    if ($("inbox-dialog").open) loadInbox();
  }
  if (name === "live" || name === "recovered") askPresence();
  return showConnection();
}

function showConnection() {
  const { name, detail, since } = connection;
  if (name === "recovered" && performance.now() - since > 8000) connection.name = "live";
  const seconds = (until) => Math.max(0, Math.round(until / 1000));
  const words = {
    "signed-out": ["not connected", " · log in to see changes live"],
    connecting: ["connecting", "…"],
    live: ["live", ` · heard ${seconds(performance.now() - realtime.heardAt)} s ago`],
    offline: ["offline", realtime.retryAt ? ` — trying again in ${Math.max(1, Math.ceil((realtime.retryAt - performance.now()) / 1000))} s` : " — trying again"],
    recovered: [`recovered ${count(detail, "missed update")}`, " · live"],
    ended: ["closed by the server", `: ${detail?.reason || detail?.code} · `],
  }[connection.name];
  $("connection-state").dataset.state = connection.name;
  say($("connection-word"), words[0]);
  say($("connection-detail"), words[1]);
  const button = $("connection-state").querySelector("button");
  if (connection.name !== "ended") button?.remove();
  else if (!button) $("connection-state").append(h("button", { class: "link", type: "button", test: "reconnect", onclick: () => enter(state.session) }, "Connect again"));
}

const realtime = new Realtime({ state: onConnection, publication: onPublication, connected: takeUnread, lost: onLost,
  refused: (channel, error) => toast(`${channel} can't be heard: ${error.message}`, { error: true }) });

// ---- Appearance and keys. ----

const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* It lasts as long as the page. */ } };
const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  $("theme-toggle").setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`);
  $("theme-toggle").replaceChildren(icon(isDark() ? "sun" : "moon"));
}

function toggleTheme() {
  const theme = isDark() ? "light" : "dark";
  store("carillon.theme", theme);
  showTheme(theme);
}

function stepPost(step) {
  const cards = [...$("feed").querySelectorAll(".post:not(.skeleton)")];
  const at = cards.findIndex((card) => card.contains(document.activeElement));
  const next = cards[Math.min(cards.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest("input, textarea, select, [contenteditable]") || dialogsOpen.length) return;
  const card = target.closest(".post[data-post-id]");
  if (key === "Enter" && card === target) return openPost(card.dataset.postId);
  if (!$("keys-on").checked) return;
  const keys = {
    n: openComposer,
    j: () => stepPost(1),
    k: () => stepPost(-1),
    o: () => card && openPost(card.dataset.postId),
    l: () => card?.querySelector("[data-testid=like-button]").click(),
    b: () => me() && $("bell").click(),
    d: toggleTheme,
    "?": () => openDialog($("keys-dialog")),
  };
  if (!keys[key]) return;
  event.preventDefault();
  keys[key]();
}

function setUpAppearance() {
  showTheme(stored("carillon.theme"));
  $("theme-toggle").onclick = toggleTheme;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showTheme());
  $("keys-on").checked = stored("carillon.keys") !== "off";
  $("keys-on").onchange = () => store("carillon.keys", $("keys-on").checked ? "on" : "off");
  $("show-keys").onclick = () => openDialog($("keys-dialog"));
  document.addEventListener("keydown", onKey);
}

// ---- Start. ----

function start() {
  setUpAppearance();
  setUpDialogs();
  setUpAccount();
  setUpFeed();
  setUpComposer();
  setUpInbox();
  setUpTrending();
  $("post-dialog").addEventListener("close", () => {
    if ($("post-dialog").open) return;
    unwatchPost();
    if (location.hash.startsWith("#/post/")) history.replaceState(null, "", "#/");
  });
  addEventListener("hashchange", route);
  showConnection();
  setInterval(showConnection, 1000);
  setInterval(() => document.querySelectorAll("time").forEach((node) => say(node, ago(node.dateTime))), 30_000);
  const kept = keptSession();
  if (kept?.token) {
    enter(kept);
    get("/v1/me").then((user) => state.session?.token === kept.token && keepSession({ ...kept, user }), () => {});
  } else loadFeed();
  loadTrending();
  route();
}

start();
