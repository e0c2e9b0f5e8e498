package telegram

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
)

// Colours of the demo chart.
var (
	accent = drawing.ColorFromHex("0b6e5f")
	alarm  = drawing.ColorFromHex("b3261e")
	ink    = drawing.ColorFromHex("1b1f1d")
	muted  = drawing.ColorFromHex("5c6661")
)

// demoChart draws two weeks of made-up revenue that drops on the last day, with its caption. The figures are the same each time.
func demoChart(user string, now time.Time) (picture []byte, caption string, err error) {
	random := rand.New(rand.NewPCG(42, 42))
	days, revenue := make([]time.Time, 14), make([]float64, 14)
	for i := range revenue {
		days[i] = now.AddDate(0, 0, i-13)
		revenue[i] = 42_000 + float64(i)*350 + random.Float64()*6_000
	}
	revenue[13] *= 0.82
	average := make([]float64, 14)
	for i := range average {
		from := max(0, i-6)
		for _, v := range revenue[from : i+1] {
			average[i] += v / float64(i+1-from)
		}
	}
	var week float64
	for _, v := range revenue[7:] {
		week += v
	}
	change := (revenue[13]/revenue[12] - 1) * 100
	facts := [][2]string{{"Today", euros(revenue[13])}, {"7-day average", euros(average[13])}, {"7-day total", euros(week)}, {"Active projects", "12"}}
	c := chart.Chart{
		Title: "Revenue, " + now.Format("2 January 2006") + ", for " + user, TitleStyle: chart.Style{FontSize: 16, FontColor: ink},
		Width: 1260, Height: 900, DPI: 120,
		Background: chart.Style{Padding: chart.Box{Top: 190, Left: 30, Right: 30, Bottom: 60}},
		XAxis:      chart.XAxis{ValueFormatter: chart.TimeValueFormatterWithFormat("2 Jan"), Style: chart.Style{FontColor: muted}},
		YAxis:      chart.YAxis{ValueFormatter: func(v any) string { return euros(v.(float64)) }, Style: chart.Style{FontColor: muted}},
		Series: []chart.Series{
			chart.TimeSeries{Name: "Revenue", XValues: days, YValues: revenue, Style: chart.Style{StrokeColor: accent, StrokeWidth: 3, DotColor: accent, DotWidth: 4}},
			chart.TimeSeries{Name: "7-day average", XValues: days, YValues: average, Style: chart.Style{StrokeColor: muted, StrokeWidth: 2, StrokeDashArray: []float64{4, 6}}},
			chart.TimeSeries{Name: "Today", XValues: days[13:], YValues: revenue[13:], Style: chart.Style{StrokeWidth: chart.Disabled, DotColor: alarm, DotWidth: 9}},
		},
	}
	c.Elements = []chart.Renderable{func(r chart.Renderer, box chart.Box, defaults chart.Style) { cards(r, c.GetWidth(), facts, defaults) },
		func(r chart.Renderer, box chart.Box, defaults chart.Style) {
			r.SetFont(defaults.GetFont())
			r.SetFontSize(9)
			r.SetFontColor(muted)
			r.Text("A demonstration with made-up figures", 30, c.GetHeight()-18)
		}}
	var out bytes.Buffer
	if err := c.Render(chart.PNG, &out); err != nil {
		return nil, "", fmt.Errorf("chart: %w", err)
	}
	caption = fmt.Sprintf("*%s*\n%s", escape("Revenue dropped"), escape(fmt.Sprintf("Today %s, %+.1f %% against yesterday; the 7-day average is %s.\nThis is a demonstration.", facts[0][1], change, facts[1][1])))
	return out.Bytes(), caption, nil
}

// cards draws the key figures in a row under the title.
func cards(r chart.Renderer, width int, facts [][2]string, defaults chart.Style) {
	const left, top, height, gap = 30, 70, 84, 18
	w := (width - 2*left - gap*(len(facts)-1)) / len(facts)
	for i, f := range facts {
		x := left + i*(w+gap)
		r.SetFillColor(drawing.ColorFromHex("e2f1ee"))
		r.MoveTo(x, top)
		r.LineTo(x+w, top)
		r.LineTo(x+w, top+height)
		r.LineTo(x, top+height)
		r.Close()
		r.Fill()
		r.SetFont(defaults.GetFont())
		r.SetFontSize(9)
		r.SetFontColor(muted)
		r.Text(f[0], x+16, top+28)
		r.SetFontSize(15)
		r.SetFontColor(ink)
		r.Text(f[1], x+16, top+64)
	}
}

func euros(v float64) string {
	if v >= 100_000 {
		return fmt.Sprintf("€%.0fk", v/1000)
	}
	return fmt.Sprintf("€%.1fk", v/1000)
}
