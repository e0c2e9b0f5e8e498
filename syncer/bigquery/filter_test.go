package bigquery

import (
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
)

func TestARowFilterIsOneCondition(t *testing.T) {
	for _, ok := range []string{"a = 1", "a = ')' AND b = \"(\"", "(a OR b) -- (", "a = 1 # )", "a = '''it's'''", `a = 'it\'s'`, `a = r'\'' OR b`, "`a)b` = 1", "a /* ) */ = 1", "a IN UNNEST([1, 2])"} {
		if err := checkFilter(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for bad, want := range map[string]string{
		" ": "is empty", "a = 1; DROP TABLE x": "another statement", "TRUE) OR (TRUE": "closes nothing", "(a": "a ( is not closed", "a = 'x": "is not closed",
		"a /* b": "a comment is not closed", "a = \"\"\"x\"": "is not closed", "[a)": "closes nothing", "a -- b)\n)": "closes nothing", "a = 'x\ny'": "is not closed",
	} {
		if err := checkFilter(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
}

func TestOnlyFiltersThatCallNothingLast(t *testing.T) {
	for filter, want := range map[string]bool{
		"": true, "status = 'open' AND id IN (1, 2)": true, "(a OR b)": true, "d >= CURRENT_DATE": false, "d >= DATE_SUB(day, INTERVAL 1 DAY)": false,
		"RAND() < 0.1": false, "id IN (SELECT id FROM x)": false, "`p.d.fn`(a)": false, "a = @@x": false,
	} {
		if got := lastingFilter(filter); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

func TestQuotedTextStaysText(t *testing.T) {
	if got := quoteText("it's \\ \n\r\x00 \u2028 ž"); got != `'it\'s \\ \n\u000d\u0000 \u2028 ž'` {
		t.Error(got)
	}
	if got := quoteName("a`b\\"); got != "`a\\`b\\\\`" {
		t.Error(got)
	}
}

// FuzzFilter: what passes the check cannot end the parentheses that it is put between.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"a = 1", "TRUE) OR (TRUE", "'", "r'\\'", "\"\"\"", "-- x", "/* */", "`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkFilter(s) != nil {
			return
		}
		if err := checkFilter("(\n" + s + "\n) AND (x)"); err != nil {
			t.Errorf("%q passes alone, and not inside: %v", s, err)
		}
		if err := checkFilter("(\n" + s + "\n))"); err == nil {
			t.Errorf("%q swallows what stands behind it", s)
		}
	})
}

func TestIntervalsAndDecimalsComeBack(t *testing.T) {
	for _, v := range []arrow.MonthDayNanoInterval{{}, {Months: 14, Days: -3, Nanoseconds: 1}, {Months: -120_000, Days: 3_660_000, Nanoseconds: -316_224_000_000_000_000}} {
		text := string(appendInterval(nil, v))
		if got, err := parseInterval(text); err != nil || got != v {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "1 2 3", "1-2 3 4:5", "1-2 x 4:5:6", "a-b 1 1:1:1", "1-1 1 1:1:1.0000000001"} {
		if v, err := parseInterval(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, v)
		}
	}
	for _, text := range []string{"0", "-0.000000001", "123456789012345678901234567890.5"} {
		n, err := unscaled(text, 9)
		if got := string(appendDecimal(nil, n, 9)); err != nil || got != text {
			t.Errorf("%s became %s (%v)", text, got, err)
		}
	}
	for _, bad := range []string{"1e5", "0.0000000001", "1/3", "NaN", ""} {
		if n, err := unscaled(bad, 9); err == nil {
			t.Errorf("%q is taken as %v", bad, n)
		}
	}
	if got := string(appendDecimal(nil, big.NewInt(-5), 0)); got != "-5" {
		t.Error(got)
	}
}
