// What a reader of a page stumbles over; see Browser.faults in conftest.py.
const SMALLEST_PX = 11;
const found = [];
const say = (fault, text) => found.push([fault, text.trim().slice(0, 40)]);
const width = document.documentElement.clientWidth;
const hasOwnText = (element) =>
  [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
const isScrolled = (element) => {
  for (let above = element.parentElement; above; above = above.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(above).overflowX)) return true;
  }
  return false;
};
document.querySelectorAll("details").forEach((details) => { details.open = true; });
if (document.documentElement.scrollWidth > width) say("wide page", document.title);
for (const element of document.body.querySelectorAll("*")) {
  const box = element.getBoundingClientRect();
  if (!box.width || !box.height) continue;
  if (box.right > width + 1 && !isScrolled(element)) say("beyond the edge", element.textContent);
  if (!hasOwnText(element)) continue;
  const style = getComputedStyle(element);
  const matrix = element.ownerSVGElement && element.getScreenCTM();
  const zoom = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
  if (zoom * parseFloat(style.fontSize) < SMALLEST_PX - 0.05) say("small", element.textContent);
  const isCut = /hidden|clip/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
  if (isCut) say("cut", element.textContent);
}
for (const chart of document.querySelectorAll("svg")) {
  const frame = chart.getBoundingClientRect();
  const texts = [...chart.querySelectorAll("text")];
  const boxes = texts.map((text) => text.getBoundingClientRect());
  boxes.forEach((one, index) => {
    const overhang = Math.max(frame.left - one.left, one.right - frame.right,
      frame.top - one.top, one.bottom - frame.bottom);
    if (overhang > 1) say("outside its chart", texts[index].textContent);
    boxes.slice(index + 1).forEach((other) => {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 2 && down > 3) say("over other text", texts[index].textContent);
    });
  });
}
return found;
