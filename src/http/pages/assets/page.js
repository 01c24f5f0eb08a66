// What a page gains where scripts run: it follows a job as it goes on, or statements as they come. Without it, it is loaded again by itself.
"use strict";

// Looks how it is now; answers what the page says of itself.
const renew = async (live) => {
  const answer = await fetch(location.pathname + location.search, { credentials: "same-origin" });
  if (!answer.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("live");
  const held = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  if (next) live.replaceChildren(...next.childNodes);
  if (held) live.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
  return next;
};

const follow = (live) => {
  const source = new EventSource(live.dataset.events);
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const next = await renew(live);
      if (next && !next.dataset.events) source.close();
    } finally {
      busy = false;
    }
  };
  source.addEventListener("job", look);
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) look(); });
};

for (const live of document.querySelectorAll("[data-events]")) follow(live);

const again = (live) => setTimeout(async () => {
  const next = await renew(live).catch(() => live);
  if (!next || next.dataset.again) again(live);
}, Number(live.dataset.again));

for (const live of document.querySelectorAll("[data-again]")) again(live);

for (const copy of document.querySelectorAll("[data-copy]")) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
    copy.textContent = "Copied";
  });
}
