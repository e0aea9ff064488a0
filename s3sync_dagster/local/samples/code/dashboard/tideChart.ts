/** Draws measured and predicted tides of one station. */

export interface TidePoint {
  takenAt: Date;
  levelCm: number;
}

export interface ChartOptions {
  widthPx: number;
  heightPx: number;
  /** Levels above this line are drawn in red: the quay is under water. */
  floodLevelCm: number;
}

/** Returns the path of an SVG line through the points, oldest first. */
export function tidePath(points: TidePoint[], options: ChartOptions): string {
  if (points.length === 0) {
    return "";
  }
  const first = points[0].takenAt.getTime();
  const last = points[points.length - 1].takenAt.getTime();
  const levels = points.map((point) => point.levelCm);
  const low = Math.min(...levels);
  const high = Math.max(...levels, options.floodLevelCm);
  const x = (time: number) => ((time - first) / Math.max(1, last - first)) * options.widthPx;
  const y = (level: number) => options.heightPx * (1 - (level - low) / Math.max(1, high - low));
  return points
    .map((p, i) => `${i ? "L" : "M"}${x(p.takenAt.getTime()).toFixed(1)} ${y(p.levelCm).toFixed(1)}`)
    .join(" ");
}

/** Finds when the water will be above the flood level, from the prediction alone. */
export function floodWindows(points: TidePoint[], floodLevelCm: number): [Date, Date][] {
  const windows: [Date, Date][] = [];
  let begin: Date | null = null;
  for (const point of points) {
    if (point.levelCm > floodLevelCm) {
      begin ??= point.takenAt;
    } else if (begin) {
      windows.push([begin, point.takenAt]);
      begin = null;
    }
  }
  return windows;
}
