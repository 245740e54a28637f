// The two sides of a $batch without change sets.

function headersOf(lines) {
    const headers = {};
    for (const line of lines) {
        const colon = line.indexOf(':');
        headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
    }
    return headers;
}

/** The head of a message, as lines, and what follows its empty line. */
function parted(text) {
    const end = text.indexOf('\r\n\r\n');
    return { head: text.slice(0, end).split('\r\n'), rest: text.slice(end + 4) };
}

/** The operations of a batch, in their order. */
export function operations(contentType, text) {
    const boundary = /boundary="?([^";]+)"?/.exec(contentType ?? '')?.[1];
    const parts = text.split(`--${boundary}`).slice(1, -1);
    return parts.map((part) => {
        const outer = parted(part.replace(/^\r\n/, ''));
        const inner = parted(outer.rest);
        const [method, url] = inner.head[0].split(' ');
        const headers = headersOf(inner.head.slice(1));
        return { id: headersOf(outer.head)['content-id'], method, url, headers, body: inner.rest.replace(/\r\n$/, '') };
    });
}

/** The answer to a batch: what each operation was answered, as far as they were attempted. */
export function written(boundary, answers) {
    const parts = answers.map(({ id, status, headers, body }) => {
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
        const content = body === undefined ? '' : JSON.stringify(body);
        return (
            `--${boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n` +
            `${id === undefined ? '' : `Content-ID: ${id}\r\n`}\r\nHTTP/1.1 ${status} Status\r\n${lines.join('')}\r\n${content}\r\n`
        );
    });
    return `${parts.join('')}--${boundary}--\r\n`;
}
