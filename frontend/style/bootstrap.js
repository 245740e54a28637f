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
  const norwegian = /^(nb|nn|no)\b/i.test(navigator.language);
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.lang = norwegian ? "nb" : "en";
  message.textContent = norwegian
    ? "Syncwatch kunne ikke startes. Last siden på nytt."
    : "Syncwatch could not start. Reload the page.";
  if (!document.querySelector("main")) document.body.append(message);
}
