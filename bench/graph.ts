/** A drawing of curves of growth: time and memory of an entry over the number of entries. @module */
import type { Curve, Point } from './growth.ts';

const PANEL = { width: 360, height: 260, left: 56, top: 36 };
const GAP = 70;
const COLOURS = ['#1b6ca8', '#9aa5b1', '#c2572b', '#3a8a4d', '#7a4fa3', '#b08900'];
const FONT = 'font-family="sans-serif" font-size="12" fill="#333"';
const LEGEND_LINE = 18;

/** @returns an SVG document; entries are spaced by their logarithm */
export function drawGrowth(curves: readonly Curve[]): string {
  const width = 2 * PANEL.width + GAP + PANEL.left + 20;
  const height = PANEL.top + PANEL.height + 50 + curves.length * LEGEND_LINE;
  const right = PANEL.left + PANEL.width + GAP;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...panel(curves, PANEL.left, 'Time of an entry, µs', ({ microseconds }) => microseconds),
    ...panel(curves, right, 'Peak memory of an entry, bytes', ({ bytes }) => bytes),
    ...curves.flatMap(({ name }, i) => legend(name, i)),
    '</svg>',
    '',
  ].join('\n');
}

function panel(
  curves: readonly Curve[],
  left: number,
  title: string,
  value: (point: Point) => number,
): string[] {
  const points = curves.flatMap((curve) => curve.points);
  const entries = [...new Set(points.map((point) => point.entries))].sort((a, b) => a - b);
  const most = roundUp(Math.max(...points.map(value), Number.MIN_VALUE));
  const [low, high] = [Math.log(entries[0] ?? 1), Math.log(entries.at(-1) ?? 2)];
  const x = (at: number) => left + (high > low ? ((Math.log(at) - low) / (high - low)) * PANEL.width : 0);
  const y = (at: number) => PANEL.top + PANEL.height * (1 - at / most);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => part * most);
  return [
    `<text x="${left}" y="${PANEL.top - 14}" ${FONT} font-weight="bold">${title}</text>`,
    ...ticks.flatMap((tick) => [
      `<line x1="${left}" x2="${left + PANEL.width}" y1="${at(y(tick))}" y2="${at(y(tick))}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${at(y(tick) + 4)}" text-anchor="end" ${FONT}>${+tick.toPrecision(3)}</text>`,
    ]),
    ...entries.map(
      (count) =>
        `<text x="${at(x(count))}" y="${PANEL.top + PANEL.height + 18}" text-anchor="middle" ${FONT}>${count.toLocaleString('en')}</text>`,
    ),
    ...curves.flatMap((curve, i) => {
      const places = curve.points.map((point) => [at(x(point.entries)), at(y(value(point)))] as const);
      const colour = COLOURS[i % COLOURS.length];
      return [
        `<polyline points="${places.map((place) => place.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
      ];
    }),
  ];
}

function legend(name: string, i: number): string[] {
  const y = PANEL.top + PANEL.height + 44 + i * LEGEND_LINE;
  return [
    `<rect x="${PANEL.left}" y="${y - 5}" width="18" height="3" fill="${COLOURS[i % COLOURS.length]}"/>`,
    `<text x="${PANEL.left + 26}" y="${y}" ${FONT}>${name.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`,
  ];
}

/** The next of 1, 2, 4, 10, 20, 40, …, so that a quarter of it is a round number. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 10].find((step) => step * power >= value) ?? 10) * power;
}

function at(place: number): string {
  return place.toFixed(1);
}
