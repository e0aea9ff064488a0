-- Stations whose oxygen sensor is due, and when somebody was there last.
CREATE VIEW oxygen_calibration_due AS
SELECT s.name,
       s.region,
       max(c.done_at) AS last_calibration,
       max(v.visited_at) AS last_visit
FROM stations AS s
LEFT JOIN calibrations AS c ON c.station_id = s.id AND c.sensor = 'oxygen'
LEFT JOIN visits AS v ON v.station_id = s.id
GROUP BY s.name, s.region
HAVING max(c.done_at) IS NULL OR max(c.done_at) < now() - INTERVAL '3 months'
ORDER BY last_calibration NULLS FIRST;
