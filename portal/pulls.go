package portal

import (
	"fmt"
	"net/http"
	"time"
)

// pullDays is how far the chart of pulls reaches back.
const pullDays = 30

// pullsView is a person's pulls, a bar for each day.
type pullsView struct {
	Days []pullDay
	All  int
	Text string // the chart in words
}

type pullDay struct {
	Name   string
	Count  int
	X      int
	Y      float64
	Height float64
}

func (p *Portal) pullsOf(r *http.Request) (v pullsView, err error) {
	today := p.now().UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, 1-pullDays)
	list, err := p.store.Pulls(r.Context(), visitorFrom(r).User.ID, first)
	if err != nil || len(list) == 0 {
		return v, err
	}
	count := map[time.Time]int{}
	most, days := 1, 0
	for _, at := range list {
		day := at.UTC().Truncate(24 * time.Hour)
		if count[day]++; count[day] == 1 {
			days++
		}
		most = max(most, count[day])
	}
	const high = 48.0
	for i := range pullDays {
		day := first.AddDate(0, 0, i)
		d := pullDay{Name: day.Format("2 Jan"), Count: count[day], X: i * 10}
		if d.Count > 0 {
			d.Height = max(4, high*float64(d.Count)/float64(most))
		}
		d.Y = high - d.Height
		v.Days = append(v.Days, d)
	}
	v.All = len(list)
	v.Text = fmt.Sprintf("%s on %s of the last %d, the last %s.", plural(v.All, "pull", "pulls"), plural(days, "day", "days"), pullDays, relative(list[len(list)-1], p.now()))
	return v, nil
}
