// A button on every block of code that copies it: of console blocks the commands, without prompts.
document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("div.highlight")) {
    const code = block.querySelector("pre");
    if (!code || block.closest(".highlight-output")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(commands(code.innerText, block.parentElement));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
});

function commands(text, container) {
  if (!container.classList.contains("highlight-console")) return text.trimEnd();
  let continued = false;
  const kept = [];
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("$ ") || continued) {
      kept.push(line.replace(/^\$ /, ""));
      continued = line.endsWith("\\");
    }
  }
  return kept.join("\n");
}
