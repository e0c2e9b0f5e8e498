package app_test

import (
	"github.com/chromedp/chromedp"
)

// fits holds a page against the width that it is seen at: nothing makes it wider than the screen, no text of it is cut off, and
// only sheets of data and differences of files scroll sideways, inside themselves.
func (b *tab) fits(where string) {
	b.t.Helper()
	found := ofPage(b, chromedp.Evaluate[[]string](`(() => {
		const said = [], root = document.documentElement;
		if (root.scrollWidth > innerWidth) said.push("the page is " + root.scrollWidth + " px wide on a screen of " + innerWidth);
		const mayScroll = (e) => e.matches(".diff, .tab-list, .randomart, :has(> .sheet), input, textarea, select");
		const name = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + [...e.classList].map((c) => "." + c).join("") + " \"" + e.textContent.trim().slice(0, 60) + "\"";
		for (const e of document.querySelectorAll("main *, .top *, .notice")) {
			const r = e.getBoundingClientRect(), s = getComputedStyle(e);
			if (r.width === 0 || r.height === 0 || s.visibility === "hidden" || e.closest(".sr, svg")) continue;
			let box = e.parentElement;
			while (box && !mayScroll(box)) box = box.parentElement;
			if (!box && (r.right > innerWidth + 1 || r.left < -1)) said.push("stands outside of the screen: " + name(e));
			if (s.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1 && !mayScroll(e) && !e.title) said.push("is cut off: " + name(e));
		}
		return said;
	})()`))
	for i, f := range found {
		if i == 5 {
			b.t.Errorf("%s: and %d more", where, len(found)-i)
			break
		}
		b.t.Errorf("%s: %s", where, f)
	}
}
