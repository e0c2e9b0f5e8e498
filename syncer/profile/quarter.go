package profile

import "fmt"

// quarterOf gives year*4 + quarter of a day since 1970-01-01; Hinnant, "chrono-Compatible Low-Level Date Algorithms".
func quarterOf(days int64) int32 {
	z := days + 719_468
	era := z / 146_097
	if z < 0 {
		era = (z - 146_096) / 146_097
	}
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	month := (5*doy+2)/153 + 2 // from January = 0; years begin in March here
	year := yoe + era*400
	if month >= 12 {
		month, year = month-12, year+1
	}
	return int32(year*4 + month/3)
}

const microsPerDay = 86_400_000_000

// dayOf gives the day of a timestamp.
func dayOf(micros int64) int64 {
	if micros < 0 {
		return (micros - microsPerDay + 1) / microsPerDay
	}
	return micros / microsPerDay
}

func quarterName(q int32) string { return fmt.Sprintf("%04d-Q%d", q/4, q%4+1) }
