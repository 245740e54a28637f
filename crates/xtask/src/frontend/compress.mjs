// Puts a brotli twin beside each file that gains by it, at the best quality: the server hands the twin out, and
// compresses less well by itself.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const directory = process.argv[1];
const endings = ['.css', '.html', '.js', '.svg', '.wasm'];
for (const name of readdirSync(directory).filter((name) => endings.includes(extname(name)))) {
  const content = readFileSync(join(directory, name));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
  };
  const packed = brotliCompressSync(content, { params });
  if (packed.length < content.length) {
    writeFileSync(join(directory, `${name}.br`), packed);
    console.log(`${name}: ${content.length} to ${packed.length} bytes`);
  }
}
