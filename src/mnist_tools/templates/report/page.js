// The page is complete without this script: it adds switches and marks the reader's place.
'use strict';

// Light or dark: what the system says, until the reader chooses.
const root = document.documentElement;
document.getElementById('theme-switch').addEventListener('click', () => {
  const dark = root.dataset.theme === 'dark'
    || (root.dataset.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = dark ? 'light' : 'dark';
  try { localStorage.setItem('theme', root.dataset.theme); } catch { /* private window */ }
});

// One switch for all code.
const codeSwitch = document.getElementById('code-switch');
codeSwitch.addEventListener('click', () => {
  const open = codeSwitch.getAttribute('aria-pressed') === 'false';
  codeSwitch.setAttribute('aria-pressed', open);
  document.querySelectorAll('details.code').forEach((cell) => { cell.open = open; });
});

// The contents are a column on a wide screen and a bar that opens on a narrow one.
const toc = document.querySelector('.toc');
const narrow = matchMedia('(max-width: 63.99rem)');
const fold = () => { toc.open = !narrow.matches; };
fold();
narrow.addEventListener('change', fold);
toc.addEventListener('click', (event) => {
  if (narrow.matches && event.target.closest('a')) toc.open = false;
});

// The current section is the last heading above the middle of the upper half of the window.
const links = new Map([...toc.querySelectorAll('a')].map(
  (link) => [document.getElementById(decodeURIComponent(link.hash.slice(1))), link]));
const headings = [...links.keys()];
const mark = () => {
  const current = headings.findLast((h) => h.getBoundingClientRect().top < innerHeight / 4);
  links.forEach((link, heading) => {
    if (heading === current) link.setAttribute('aria-current', 'location');
    else link.removeAttribute('aria-current');
  });
  toc.querySelector('.here').textContent = current ? current.textContent : '';
  const column = toc.querySelector('nav');  // scroll the column alone, never the page
  if (current && !narrow.matches) {
    column.scrollTop = links.get(current).offsetTop - column.clientHeight / 2;
  }
};
let asked = false;  // at most once a frame
addEventListener('scroll', () => {
  if (!asked) requestAnimationFrame(() => { asked = false; mark(); });
  asked = true;
}, { passive: true });
mark();

// A box that scrolls must be reachable from the keyboard.
const boxes = document.querySelectorAll('.scroll, pre, figure');
const reach = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight)
    target.tabIndex = 0;
  else target.removeAttribute('tabindex');
}));
boxes.forEach((box) => reach.observe(box));
