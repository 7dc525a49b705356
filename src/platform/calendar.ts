/** A moment in UTC as clock chips count it, into which one object is filled again and again. */
export interface CalendarTime {
  second: number;
  minute: number;
  /** 0 to 23 */
  hour: number;
  /** 1 is Sunday */
  weekday: number;
  /** 1 to 31 */
  day: number;
  /** 1 to 12 */
  month: number;
  /** with its century */
  year: number;
}

const DAY = 86_400;
/** Days of 400, 100, 4 and 1 years that begin in March. */
const DAYS_400 = 146_097;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719_468;

/** An object to fill. */
export function calendarTime(): CalendarTime {
  return { second: 0, minute: 0, hour: 0, weekday: 1, day: 1, month: 1, year: 1970 };
}

/** Splits seconds since 1970 into `time` (proleptic Gregorian calendar), without allocating as Date would. */
export function toCalendar(seconds: number, time: CalendarTime): void {
  const days = Math.floor(seconds / DAY);
  const rest = seconds - days * DAY;
  time.hour = Math.floor(rest / 3600);
  time.minute = Math.floor(rest / 60) % 60;
  time.second = rest % 60;
  time.weekday = (((days + 4) % 7) + 7) % 7 + 1;

  // Years that begin in March have their leap day last, which makes the arithmetic regular.
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / DAYS_400);
  const dayOfEra = shifted - era * DAYS_400;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra -
    (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  time.day = dayOfYear - Math.floor((153 * march + 2) / 5) + 1;
  time.month = march < 10 ? march + 3 : march - 9;
  time.year = yearOfEra + era * 400 + (time.month <= 2 ? 1 : 0);
}

/** Seconds since 1970 of a calendar time; fields out of range carry over. */
export function fromCalendar(time: CalendarTime): number {
  return Date.UTC(time.year, time.month - 1, time.day, time.hour, time.minute, time.second) / 1000;
}
