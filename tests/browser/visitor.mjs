// Somebody in front of the page: a browser context of their own, and what they do and see. Every wait has a deadline.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** How long anything may take that should come at once: it bounds a failure, not a success. In milliseconds. */
const PATIENCE = 10_000;
const LOOK_EVERY = 25;

/** Looks again and again until `look` answers something true, and answers that; fails naming `what`. */
export async function until(what, look) {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(performance.now() < deadline, `waited ${PATIENCE} ms in vain: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, LOOK_EVERY); });
  }
}

/** Starts the Chromium at `executablePath`, which nobody downloads here. */
export function launch(modules, executablePath) {
  const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');
  const args = ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  return chromium.launch({ executablePath, args, timeout: 3 * PATIENCE });
}

export class Visitor {
  /** What the console said that was not expected: errors, warnings and violations of the policy. */
  complaints = [];
  #expected = null;

  static async arrive(browser, name, options, shots) {
    const visitor = new Visitor();
    Object.assign(visitor, { name, shots });
    visitor.context = await browser.newContext({ ...options, reducedMotion: 'reduce' });
    visitor.context.setDefaultTimeout(PATIENCE);
    visitor.page = await visitor.newPage();
    return visitor;
  }

  async newPage() {
    const page = await this.context.newPage();
    const complain = (text) => { if (!this.#expected?.test(text)) this.complaints.push(text); };
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(message.text()));
    page.on('pageerror', (error) => complain(error.stack));
    return page;
  }

  /** What the browser may complain of from now on; null: of nothing. */
  expect(text) {
    this.#expected = text;
  }

  async open(url) {
    const answer = await this.page.goto(`${url}/`);
    assert.equal(answer.status(), 200);
    assert.match(answer.headers()['content-security-policy'] ?? '', /default-src 'none'/);
  }

  async signUp() {
    const form = this.mark('signup-form');
    await form.getByTestId('username').fill(this.name);
    await form.getByTestId('email').fill(`${this.name}@example.test`);
    await form.getByTestId('password').fill('correct horse battery staple');
    await form.getByTestId('signup-submit').click();
    await this.reads(this.mark('connection-state'), /^live/);
    await this.fits();
  }

  async publish(title) {
    await this.mark('composer-title').fill(title);
    await this.mark('composer-content').fill(`What there is to say of ${title}.`);
    await this.mark('publish').click();
    await this.sees(this.card(title));
  }

  mark(testId) {
    return this.page.getByTestId(testId);
  }

  card(text) {
    return this.mark('post-card').filter({ hasText: text });
  }

  token() {
    return this.page.evaluate(() => JSON.parse(localStorage.getItem('carillon.session')).token);
  }

  sees(locator) {
    return until(`${this.name} sees ${locator}`, () => locator.isVisible());
  }

  gone(locator) {
    return until(`${this.name} sees no ${locator} any more`, () => locator.isHidden());
  }

  /** Waits until a text is there: the whole of it, or what a pattern matches. */
  async reads(locator, wanted) {
    let text = '(nothing)';
    await until(`${this.name} reads ${wanted} in ${locator}`, async () => {
      if (!(await locator.isVisible())) return false;
      text = (await locator.innerText()).trim();
      return typeof wanted === 'string' ? text === wanted : wanted.test(text);
    }).catch((error) => { throw new Error(`${error.message}, but ${text}`); });
  }

  /** Presses Tab until the focus is there, as somebody without a mouse does. */
  async tabTo(testId) {
    for (let presses = 0; presses < 40; presses += 1) {
      const focused = await this.page.evaluate(() => document.activeElement?.dataset.testid);
      if (focused === testId) return;
      await this.page.keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${testId}`);
  }

  /** Nothing stands out to the side. */
  async fits(page = this.page) {
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(beyond, 0, `the page of ${this.name} is ${beyond} px too wide`);
  }

  async shot(name, page = this.page) {
    await this.fits(page);
    if (this.shots) await page.screenshot({ path: join(this.shots, `${name}-${this.name}.png`) });
  }
}
