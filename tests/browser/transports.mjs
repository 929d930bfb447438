// Lives through the SDK's scenario in Chromium, over one transport after the other. Tells and asks as `sdk/transports.mjs` does.
//
// Usage: node transports.mjs DIRECTORY_WITH_NODE_MODULES CHROMIUM SDK_DIRECTORY SERVER_ADDRESS CUT_ADDRESS API_KEY USER TOKEN POST
import { join } from 'node:path';
import { Outside, tell, transports } from '../sdk/outside.mjs';
import { scenario } from '../sdk/scenario.mjs';
import { launch } from './visitor.mjs';

const [modules, chromium, sdk, address, cut, key, user, token, post] = process.argv.slice(2);
const outside = new Outside(address, key, user);

/** Runs in the page: makes clients of the SDK that it has loaded, and calls back for everything else. */
async function visit({ source, options, endpoint, emulationEndpoint }) {
  const run = new Function(`return ${source}`)();
  const make = (more) => new globalThis.Centrifuge([endpoint], {
    emulationEndpoint, ...(options.binary ? { protocol: 'protobuf' } : {}), ...more,
  });
  await run({ ...options, make, outside: globalThis.outside, step: globalThis.step });
}

try {
  const browser = await launch(modules, chromium);
  for (const { name, format, scheme, path } of transports) {
    const binary = format === 'protobuf';
    // The page's own policy, which lets nothing be loaded, is not what is looked at here.
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await page.exposeFunction('outside', (...what) => outside.do(...what));
    await page.exposeFunction('step', (step) => tell('step', { name: `${name}, ${format}: ${step}` }));
    await page.goto(`http://${cut}/health/live`);
    const file = binary ? 'centrifuge.protobuf.js' : 'centrifuge.js';
    await page.addScriptTag({ path: join(sdk, 'node_modules', 'centrifuge', 'dist', file) });
    await page.evaluate(visit, {
      source: scenario.toString(),
      options: { token, user, post, binary, transport: name, channel: `room:${name}-${format}` },
      endpoint: { transport: name, endpoint: `${scheme}://${cut}${path}` },
      emulationEndpoint: `http://${cut}/emulation`,
    });
    await context.close();
    await outside.do('unlike', post, token);
  }
  await browser.close();
  tell('done');
} catch (error) {
  tell('failed', { why: String(error), stack: error.stack });
}
process.exit(0);
