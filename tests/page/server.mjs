// `sluice serve` on a free port of loopback, out of the Release build.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../artifacts/bin/Sluice.Cli/release/sluice.dll', import.meta.url));
const startMs = 60_000;

/** Starts a server; settings are environment variables SLUICE__NAME. Resolves with its url and a function that ends it. */
export function startServer(settings = {}) {
  const env = { ...process.env };
  for (const [name, value] of Object.entries({ Host: '127.0.0.1', Port: '0', MaxSequences: '4', Memory: '64MiB', ...settings }))
    env[`SLUICE__${name}`] = value;
  const child = spawn('dotnet', [program, 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise(resolve => child.once('exit', resolve));
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => fail('it did not start in time'), startMs);
    const fail = why => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`sluice serve: ${why}\n${said}`));
    };
    const read = text => {
      said += text;
      const address = /serving \S+ at (http:\/\/[\d.]+:\d+)/.exec(said);
      if (address) {
        clearTimeout(timer);
        resolve({ url: address[1], stop });
      }
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    child.once('error', error => fail(error.message));
    child.once('exit', code => fail(`it ended with ${code}`));
  });
}
