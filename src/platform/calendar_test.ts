import assert from "node:assert/strict";
import fc from "fast-check";
import { calendarTime, fromCalendar, toCalendar } from "./calendar.ts";

Deno.test("days agree with Date, leap years and centuries included", () => {
  const time = calendarTime();
  fc.assert(fc.property(fc.integer({ min: -3_000_000_000, max: 8_000_000_000 }), (seconds) => {
    toCalendar(seconds, time);
    const date = new Date(seconds * 1000);
    assert.deepEqual(time, {
      second: date.getUTCSeconds(),
      minute: date.getUTCMinutes(),
      hour: date.getUTCHours(),
      weekday: date.getUTCDay() + 1,
      day: date.getUTCDate(),
      month: date.getUTCMonth() + 1,
      year: date.getUTCFullYear(),
    });
    assert.equal(fromCalendar(time), seconds);
  }));
  for (const day of ["2000-02-29", "2100-02-28", "2100-03-01", "2024-12-31", "1970-01-01"]) {
    toCalendar(Date.parse(day) / 1000, time);
    assert.equal(
      `${time.year}-${String(time.month).padStart(2, "0")}-${String(time.day).padStart(2, "0")}`,
      day,
    );
  }
});
