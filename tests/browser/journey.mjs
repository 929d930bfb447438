// Ada on a desktop in light colours and Bob on a phone in dark ones live through a day on the product's page. Tells on
// stdout, one JSON object a line, what it does; the test that started it cuts Bob's wire when told `cut` and mends it
// when told `mend`, and answers each with a line. Ends with `done`, or with `failed` and why.
//
// Usage: node journey.mjs DIRECTORY_WITH_NODE_MODULES CHROMIUM ADAS_URL BOBS_URL
// With CARILLON_TEST_SCREENSHOTS set, screenshots are written to that directory.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Visitor, launch, until } from './visitor.mjs';

const [modules, chromium, adasUrl, bobsUrl] = process.argv.slice(2);
const shots = process.env.CARILLON_TEST_SCREENSHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
/** Asks the test that started this to do something, and waits until it is done. */
async function ask(event) {
  tell(event);
  assert.equal((await answers.next()).value, event, `the test does ${event}`);
}

const DESKTOP = { viewport: { width: 1440, height: 900 }, colorScheme: 'light' };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const TITLE = 'Bells that ring once';
const EDITED = 'Bells that ring exactly once';

const steps = {
  async 'both sign up'() {
    await Promise.all([ada.open(adasUrl), bob.open(bobsUrl)]);
    await Promise.all([ada.shot('signed-out'), bob.shot('signed-out')]);
    await Promise.all([ada.signUp(), bob.signUp()]);
  },

  async 'ada publishes without a mouse, and bob sees it live'() {
    await ada.tabTo('composer-title');
    await ada.page.keyboard.type(TITLE);
    await ada.page.keyboard.press('Tab');
    await ada.page.keyboard.type('A **bold** claim, <img src=x onerror=alert(1)> and `code`.');
    await ada.page.keyboard.press('Tab');
    await ada.page.keyboard.type('bells, #live');
    await ada.tabTo('publish');
    await ada.page.keyboard.press('Enter');
    await bob.sees(bob.card(TITLE));
    await ada.sees(ada.card(TITLE));
    assert.equal(await ada.card(TITLE).count(), 1, 'her own publication shows her post once');
    assert.equal(await bob.card(TITLE).locator('img').count(), 0, 'text never becomes markup');
    await bob.reads(bob.card(TITLE).locator('strong'), 'bold');
    const latency = await until('a latency is shown', () => ada.mark('latency').getAttribute('data-last'));
    assert.match(latency, /^\d+$/, 'in milliseconds');
    assert.match(await ada.mark('latency').innerText(), /^write to screen \d+ ms \(median \d+, p95 \d+, n 1\)$/);
    await Promise.all([ada.shot('feed'), bob.shot('feed')]);
  },

  async 'bob likes, comments and follows while ada watches her post'() {
    await ada.card(TITLE).getByTestId('post-open').click();
    await ada.reads(ada.mark('presence-count'), '1');
    const open = ada.mark('post-dialog');
    await bob.card(TITLE).getByTestId('like-button').click();
    await bob.reads(bob.card(TITLE).getByTestId('like-count'), '1');
    await ada.reads(open.getByTestId('like-count'), '1');
    await bob.card(TITLE).getByTestId('post-open').click();
    await bob.mark('comment-input').fill(`Well said, @${ada.name}`);
    await bob.mark('comment-send').click();
    await ada.reads(ada.mark('comment').first(), /Well said/);
    await ada.reads(open.getByTestId('comment-count'), '1');
    await ada.mark('comment-reply').click();
    await ada.mark('comment-input').last().fill(`Thank you, @${bob.name}`);
    await ada.mark('comment-send').last().click();
    await until('the reply stands once on both pages', async () =>
      (await ada.mark('comment').count()) === 2 && (await bob.mark('comment').count()) === 2);
    const follow = bob.mark('post-dialog').getByTestId('follow-button');
    await follow.click();
    await bob.reads(follow, 'Following');
    await ada.reads(ada.mark('presence-count'), '2');
    await Promise.all([ada.shot('post'), bob.shot('post')]);
    await ada.page.keyboard.press('Escape');
    await bob.page.keyboard.press('Escape');
  },

  async 'the bell of ada rang, and she reads'() {
    const unread = ada.mark('bell-count');
    await ada.reads(unread, '3');
    await ada.mark('bell').click();
    const entries = ada.mark('notification');
    await until('three notifications', async () => (await entries.count()) === 3);
    const kinds = await entries.evaluateAll((nodes) => nodes.map((node) => node.dataset.type).sort());
    assert.deepEqual(kinds, ['commented', 'followed', 'liked'], 'a comment on her own post is told once');
    await ada.reads(entries.filter({ hasText: 'likes' }), new RegExp(TITLE));
    await ada.shot('bell');
    await entries.filter({ hasText: 'likes' }).click();
    await ada.reads(unread, '2');
    await ada.sees(ada.mark('post-dialog').getByTestId('comment-input').first());
    await ada.page.keyboard.press('Escape');
    await ada.mark('bell').click();
    await ada.mark('mark-all-read').click();
    await ada.gone(unread);
    assert.equal(await ada.page.title(), 'Carillon', 'the title counts nothing unread');
    await ada.page.keyboard.press('Escape');
    await bob.reads(bob.mark('bell-count'), '1'); // Her answer names him.
  },

  async 'trending lists the post and explains its score'() {
    const item = ada.mark('trending-item').filter({ hasText: TITLE });
    await ada.sees(item);
    await ada.mark('window-1h').click();
    await ada.mark('explain').click();
    await ada.reads(item.getByTestId('explanation'), /1 like × \d/);
    await ada.reads(item.getByTestId('explanation'), /2 comments × \d/);
    await ada.shot('trending');
    await bob.mark('tab-trending').click();
    await bob.sees(bob.mark('trending-item').filter({ hasText: TITLE }));
    await bob.shot('trending');
    await bob.mark('tab-all').click();
  },

  async 'a second post rings at bob, who follows'() {
    await ada.publish('A second peal');
    await bob.sees(bob.card('A second peal'));
    await bob.reads(bob.mark('bell-count'), '2');
    await bob.mark('bell').click();
    await bob.reads(bob.mark('notification').first(), /published “A second peal”/);
    await bob.shot('bell');
    await bob.mark('inbox-dialog').getByRole('button', { name: 'Close' }).click();
    await bob.mark('tab-home').click();
    await bob.sees(bob.card('A second peal'));
    await bob.mark('tab-all').click();
    await bob.mark('new-post').click();
    await bob.sees(bob.mark('composer-title'));
    await bob.shot('composer');
    await bob.page.getByRole('button', { name: 'Close' }).click();
  },

  async 'an edit of a stale version is refused kindly'() {
    const card = ada.card(TITLE);
    const id = await card.getAttribute('data-post-id');
    await card.getByTestId('post-menu').click();
    await card.getByTestId('edit-post').click();
    await ada.mark('edit-title').fill(EDITED);
    const elsewhere = await fetch(`${adasUrl}/v1/posts/${id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${await ada.token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ content: 'Changed on another device.', version: 1 }),
    });
    assert.equal(elsewhere.status, 200);
    ada.expect(/status of 409/);
    await ada.mark('edit-save').click();
    await ada.reads(ada.mark('stale-notice'), /changed elsewhere.+Nothing is lost/s);
    assert.equal(await ada.mark('edit-title').inputValue(), EDITED, 'what she typed is still there');
    await ada.shot('stale');
    await ada.mark('stale-overwrite').click();
    await bob.sees(bob.card(EDITED));
    await ada.reads(ada.mark('trending-item').first(), new RegExp(EDITED));
    ada.expect(null);
  },

  async 'bob loses the network, is told so, and gets what he missed'() {
    const state = bob.mark('connection-state');
    bob.expect(/^WebSocket connection to|net::ERR_/);
    await ask('cut');
    await bob.reads(state, /^offline — trying again/);
    await bob.shot('offline');
    for (const title of ['Missed one', 'Missed two']) await ada.publish(title);
    await ada.mark('theme-toggle').click();
    await ada.shot('feed-dark');
    assert.equal(await bob.card('Missed').count(), 0);
    await ask('mend');
    await bob.reads(state, /^recovered \d+ missed updates · live$/);
    bob.expect(null);
    for (const title of ['Missed one', 'Missed two']) {
      await bob.sees(bob.card(title));
      assert.equal(await bob.card(title).count(), 1, `${title} stands there once`);
    }
    await bob.reads(bob.mark('bell-count'), '4');
    await bob.mark('theme-toggle').click();
    await bob.shot('feed-light');
    await ada.publish('After all that');
    await bob.sees(bob.card('After all that'));
  },

  async 'the reference describes the API and tries it'() {
    const docs = await ada.newPage();
    await docs.goto(`${adasUrl}/docs#list_posts`);
    const operation = docs.locator('#list_posts');
    await operation.getByTestId('try-send').click();
    await ada.reads(operation.getByTestId('try-status'), /^200 /);
    assert.match(await operation.getByTestId('try-body').innerText(), new RegExp(EDITED));
    await ada.shot('docs', docs);
    await docs.close();
  },

  async 'ada logs out, and her session has ended'() {
    const token = await ada.token();
    await ada.mark('logout').click();
    await ada.sees(ada.mark('signup-form'));
    await ada.gone(ada.mark('bell'));
    await ada.gone(ada.mark('session-ended'));
    const answer = await fetch(`${adasUrl}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 401);
  },

  async 'nothing was wrong on the way, and the policy would have been heard'() {
    for (const one of [ada, bob]) assert.deepEqual(one.complaints, [], `${one.name}'s console is silent`);
    await ada.page.evaluate(() => document.head.append(Object.assign(document.createElement('style'), { textContent: 'a {}' })));
    await until('a style that the policy forbids is heard of', () => ada.complaints.some((text) => text.includes('Content Security Policy')));
  },
};

const browser = await launch(modules, chromium);
const ada = await Visitor.arrive(browser, 'ada', DESKTOP, shots);
const bob = await Visitor.arrive(browser, 'bob', PHONE, shots);
try {
  for (const [name, step] of Object.entries(steps)) {
    tell('step', { name });
    try {
      await step();
    } catch (error) {
      await Promise.allSettled([ada.shot('failed'), bob.shot('failed')]);
      throw Object.assign(error, { message: `${name}: ${error.message}` });
    }
  }
  tell('done');
} catch (error) {
  tell('failed', { why: error.stack, ada: ada.complaints, bob: bob.complaints });
} finally {
  await browser.close();
  process.exit();
}
