// Two canvases. `element` and `trigger` come from gr.HTML. Sent: {left, right}, each a list of strokes of points in 0..1.
const strokes = {left: [], right: []};
const LIVE = 250;  // ms between two looks at an unfinished stroke
let waiting = null;

const send = () => { clearTimeout(waiting); waiting = null; trigger('input', strokes); };
const soon = () => { waiting ??= setTimeout(send, LIVE); };

for (const canvas of element.querySelectorAll('canvas')) {
  const name = canvas.dataset.pad;
  const pen = canvas.getContext('2d');
  let stroke = null;

  const paint = () => {
    canvas.width = canvas.height = Math.round((canvas.clientWidth || 320) * (window.devicePixelRatio || 1));
    const side = canvas.width;
    pen.lineWidth = side / 22;
    pen.lineCap = pen.lineJoin = 'round';
    pen.strokeStyle = '#1c1e21';
    for (const points of strokes[name]) {
      pen.beginPath();
      points.forEach(([x, y], at) => at ? pen.lineTo(x * side, y * side) : pen.moveTo(x * side, y * side));
      if (points.length === 1) pen.lineTo(points[0][0] * side, points[0][1] * side);
      pen.stroke();
    }
  };
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map(value => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4);
  };
  canvas.addEventListener('pointerdown', event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    strokes[name].push(stroke = [place(event)]);
    paint();
  });
  canvas.addEventListener('pointermove', event => {
    if (!stroke) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) stroke.push(place(one));
    paint();
    soon();
  });
  const lift = () => { if (stroke) { stroke = null; send(); } };
  canvas.addEventListener('pointerup', lift);
  canvas.addEventListener('pointercancel', lift);
  element.querySelector(`[data-clear=${name}]`).addEventListener('click', () => { strokes[name] = []; paint(); send(); });
  element.querySelector(`[data-undo=${name}]`).addEventListener('click', () => { strokes[name].pop(); paint(); send(); });
  new ResizeObserver(paint).observe(canvas);
}
