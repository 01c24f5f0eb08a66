// What the keyboard alone reaches: everything on a page that does something, each shown where it is, and on to the end.

// Moves on by Tab until `isThere`; everything a page offers is reached so.
export const tabTo = async (page, isThere, most = 80) => {
  for (let step = 0; step < most; step += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const here = document.activeElement;
      const box = here.getBoundingClientRect();
      return { text: here.textContent.trim(), name: here.getAttribute("name"), value: here.getAttribute("value"), shown: box.width > 0, outline: getComputedStyle(here).outlineStyle };
    });
    if (isThere(seen)) return seen;
  }
  return null;
};

// Everything that can be used by a pointer is used by keys: Tab comes to each, and one sees where one is. Answers what it did not
// come to, and what did not show that it had.
export const missed = async (page) => {
  const count = await page.evaluate(() => {
    document.activeElement?.blur();
    const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")];
    // Of a group of radio buttons Tab comes to one, and arrows lead to the others.
    const isOther = (one) => one.type === "radio" && !one.checked;
    globalThis.offered = all.filter((one) => one.checkVisibility() && !one.disabled && !isOther(one));
    globalThis.reached = new Set();
    globalThis.unseen = new Set();
    return globalThis.offered.length;
  });
  for (let step = 0; step < count + 5; step += 1) {
    await page.keyboard.press("Tab");
    await page.evaluate(() => {
      const here = document.activeElement;
      globalThis.reached.add(here);
      const { outlineStyle, boxShadow } = getComputedStyle(here);
      if (here !== document.body && outlineStyle === "none" && boxShadow === "none") globalThis.unseen.add(here);
    });
  }
  return page.evaluate(() => {
    const told = (one) => `${one.tagName.toLowerCase()} ${one.getAttribute("name") ?? ""} ${one.textContent.trim().slice(0, 40)}`;
    const lost = globalThis.offered.filter((one) => !globalThis.reached.has(one)).map((one) => `Tab misses ${told(one)}`);
    return { count: globalThis.offered.length, wrong: [...lost, ...[...globalThis.unseen].map((one) => `${told(one)} does not show that it has the focus`)] };
  });
};
