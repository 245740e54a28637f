// Starts the dashboard. A file of its own, since the content security policy allows no inline script.
const root = document.documentElement;
try {
  const scheme = localStorage.getItem("color-scheme");
  if (scheme) root.dataset.colorScheme = scheme;
} catch {
  // Storage is refused: the system's colours are used.
}

const { js, wasm } = document.querySelector("script[data-wasm]").dataset;
try {
  const { default: start } = await import(js);
  await start({ module_or_path: wasm });
} catch (error) {
  console.error(error);
  const asked = /^(nb|nn|no)\b/i.exec(navigator.language)?.[1].toLowerCase();
  const [lang, text] = {
    nb: ["nb", "Syncwatch kunne ikke startes. Last siden på nytt."],
    no: ["nb", "Syncwatch kunne ikke startes. Last siden på nytt."],
    nn: ["nn", "Syncwatch kunne ikkje startast. Last sida på nytt."],
  }[asked] ?? ["en", "Syncwatch could not start. Reload the page."];
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.lang = lang;
  message.textContent = text;
  if (!document.querySelector("main")) document.body.append(message);
}
