// Keeps a page up to date: each element with an id and data-topics is fetched again when one of its topics has news.
// Focus and scroll stay where they are, because only what changed is swapped. Without this module the page is as good
// as it was when it was loaded.

const WAIT_MS = 300;
const live = document.getElementById("live");
const topicsOf = (element) => element.dataset.topics.split(" ");
const parts = () => [...document.querySelectorAll("[id][data-topics]")];
const pending = new Set();
let timer = null;

async function refresh() {
  const topics = new Set(pending);
  pending.clear();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) location.reload(); // signed out meanwhile
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts()) {
      const fresh = page.getElementById(part.id);
      if (!fresh || !topicsOf(part).some((topic) => topics.has(topic))) continue;
      if (fresh.innerHTML !== part.innerHTML) swap(part, fresh);
    }
    say("live", true);
  } catch {
    say("not live", false);
  }
  // One at a time: an older answer must never be swapped in after a newer one.
  timer = pending.size ? setTimeout(refresh, WAIT_MS) : null;
}

function swap(part, fresh) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  const left = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  [...part.querySelectorAll(".scroll")].forEach((box, place) => (box.scrollLeft = left[place] ?? 0));
  if (href) [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === href)?.focus({ preventScroll: true });
}

function hear(topic) {
  pending.add(topic);
  timer ??= setTimeout(refresh, WAIT_MS);
}

function say(text, good) {
  live.textContent = text;
  live.classList.toggle("good", good);
}

live.hidden = !parts().length;
if (!live.hidden) {
  const events = new EventSource("/v1/events");
  const all = new Set(parts().flatMap(topicsOf));
  for (const topic of all) events.addEventListener(topic, () => hear(topic));
  events.onopen = () => {
    say("live", true);
    all.forEach(hear); // whatever happened while nobody listened
  };
  events.onerror = () => say("not live", false);
}
