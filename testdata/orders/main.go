// Orders writes a large CSV file of invented orders for benchmarks: 17 columns with nulls, quoted commas, doubled quotes
// and line breaks inside quotes, the same bytes each time.
//
//	go run ./testdata/orders -bytes 1073741824 -o orders.csv
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

const header = "order_id,customer_id,quantity,amount,tax,paid,created_at,updated_at,ship_date,rating,uuid,status,country,channel,name,email,note\n"

func main() {
	size := flag.Int64("bytes", 64<<20, "about how many bytes")
	out := flag.String("o", "orders.csv", "file")
	flag.Parse()
	if err := write(*out, *size); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func write(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	n, err := w.WriteString(header)
	r := rand.New(rand.NewPCG(1, 2))
	row := make([]byte, 0, 512)
	for i, total := 1, int64(n); total < size && err == nil; i++ {
		row = order(row[:0], r, i)
		n, err = w.Write(row)
		total += int64(n)
	}
	return errors.Join(err, w.Flush(), f.Close())
}

var (
	start     = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	statuses  = []string{"delivered", "shipped", "pending", "cancelled", "returned"}
	countries = []string{"CZ", "DE", "US", "GB", "FR", "PL", "AT", "SK"}
	names     = []string{"Jana Nováková", "Paul Smith", "Zoë Müller", "Liam O'Brien", "Åsa Lindström", "Eva Dvořák"}
)

func order(b []byte, r *rand.Rand, i int) []byte {
	at := start.Add(time.Duration(i) * 37 * time.Second)
	b = strconv.AppendInt(b, int64(i), 10)
	b = strconv.AppendInt(append(b, ','), r.Int64N(400_000), 10)
	b = strconv.AppendInt(append(b, ','), 1+r.Int64N(20), 10)
	b = cents(append(b, ','), r.Int64N(10_000_000)-200_000)
	b = append(b, ',')
	if r.IntN(5) > 0 {
		b = cents(b, r.Int64N(100_000))
	}
	b = strconv.AppendBool(append(b, ','), r.IntN(3) > 0)
	b = at.AppendFormat(append(b, ','), "2006-01-02 15:04:05")
	b = at.Add(time.Duration(r.IntN(1e6))*time.Millisecond).AppendFormat(append(b, ','), "2006-01-02 15:04:05.000")
	b = append(b, ',')
	if r.IntN(4) > 0 {
		b = at.AddDate(0, 0, r.IntN(9)).AppendFormat(b, time.DateOnly)
	}
	b = append(b, ',')
	if r.IntN(3) == 0 {
		b = strconv.AppendFloat(b, r.Float64()*5, 'f', 6, 64)
	}
	b = fmt.Appendf(append(b, ','), "%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>20, r.Uint32()>>20, r.Uint64()>>16)
	b = append(append(b, ','), statuses[r.IntN(len(statuses))]...)
	b = append(append(b, ','), countries[r.IntN(len(countries))]...)
	b = append(append(b, ','), []string{"web", "app", "phone"}[r.IntN(3)]...)
	b = append(append(b, ','), names[r.IntN(len(names))]...)
	b = strconv.AppendInt(append(b, ",user"...), r.Int64N(400_000), 10)
	b = append(b, "@example.com,"...)
	switch r.IntN(10) {
	case 0:
		b = append(b, `"left at the door, ""blue"" one"`...)
	case 1:
		b = append(b, "\"first line\nsecond line\""...)
	case 2, 3, 4:
		b = append(b, "please ring twice at the side entrance"...)
	}
	return append(b, '\n')
}

func cents(b []byte, v int64) []byte {
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	b = append(strconv.AppendInt(b, v/100, 10), '.')
	return append(b, byte('0'+v/10%10), byte('0'+v%10))
}
