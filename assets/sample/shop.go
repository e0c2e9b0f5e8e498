package sample

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

type category struct {
	name      string
	low, high int // price in whole euros
}

var categories = []category{{"Electronics", 20, 1500}, {"Clothing", 10, 200}, {"Home & Garden", 8, 600}, {"Sports & Outdoors", 10, 500}, {"Books & Media", 5, 60}, {"Beauty & Health", 4, 120}}

func (c *company) makeProducts(ctx context.Context) error {
	r := c.random(2)
	return c.table(ctx, "products", []string{"product_id", "sku", "name", "category", "price", "cost", "weight_kg", "is_active", "created_at"}, func(row func(...string) error) error {
		for i := range c.n.products {
			cat := oneOf(r, categories)
			p := product{id: id("P", 5, i+1), price: between(r, cat.low*100, cat.high*100)}
			cost := p.price * between(r, 40, 75) / 100
			name := fmt.Sprintf("%s %s %d", oneOf(r, []string{"Classic", "Pro", "Eco", "Mini", "Ultra", "Urban"}), cat.name, i+1)
			if err := row(p.id, fmt.Sprintf("SKU-%05d", r.IntN(100_000)), name, cat.name, money(p.price), money(cost), strconv.FormatFloat(float64(between(r, 5, 2500))/100, 'f', 2, 64),
				flag(r.Float64() < .9), day(c.start.AddDate(0, 0, -r.IntN(365)))); err != nil {
				return err
			}
			c.products = append(c.products, p)
		}
		return nil
	})
}

func (c *company) makeCampaigns(ctx context.Context) error {
	r := c.random(3)
	channels := []string{"email", "paid_search", "paid_social", "organic_social", "display", "affiliate", "retargeting"}
	weights := []float64{20, 22, 18, 12, 12, 8, 8}
	return c.table(ctx, "campaigns", []string{"campaign_id", "name", "channel", "status", "budget", "spend", "impressions", "clicks", "start_date", "end_date", "target_segment"}, func(row func(...string) error) error {
		for i := range c.n.campaigns {
			x := campaign{id: id("CMP", 4, i+1), start: c.start.AddDate(0, 0, r.IntN(30*c.n.months))}
			x.end = x.start.AddDate(0, 0, between(r, 7, 60))
			channel, status := channels[pick(r, weights)], "completed"
			if x.end.After(end) {
				status = oneOf(r, []string{"active", "active", "paused"})
			}
			budget := between(r, 500_00, 25_000_00)
			seen := between(r, 1_000, 500_000)
			clicks := int(float64(seen) * (.005 + .075*r.Float64()))
			if err := row(x.id, fmt.Sprintf("%s %s", channel, x.start.Format("2006-01")), channel, status, money(budget), money(budget*between(r, 40, 100)/100),
				strconv.Itoa(seen), strconv.Itoa(clicks), day(x.start), day(x.end), segments[pick(r, segmentW)]); err != nil {
				return err
			}
			c.campaigns = append(c.campaigns, x)
		}
		return nil
	})
}

// campaignOn gives a campaign that runs at a time, or "" when a few tries find none.
func (c *company) campaignOn(r *rand.Rand, at time.Time) string {
	for range 4 {
		if x := oneOf(r, c.campaigns); !at.Before(x.start) && at.Before(x.end.AddDate(0, 0, 1)) {
			return x.id
		}
	}
	return ""
}

func (c *company) makeSessions(ctx context.Context) error {
	r := c.random(5)
	pages := []string{"/", "/sale", "/new", "/products", "/blog", "/contact"}
	return c.table(ctx, "web_sessions", []string{"session_id", "visitor_id", "customer_id", "campaign_id", "started_at", "duration_seconds", "pages_viewed", "device_type", "browser", "country", "landing_page", "is_bounce"}, func(row func(...string) error) error {
		for i := range c.n.sessions {
			at := c.moment(r, c.start)
			who, country, camp := "", countries[pick(r, countryW)], ""
			if r.Float64() < .4 {
				x := c.customers[pickSum(r, c.activity)]
				who, country = x.id, x.country
			}
			if r.Float64() < .25 {
				camp = c.campaignOn(r, at)
			}
			bounce, seconds, seen := r.Float64() < .35, between(r, 31, 1800), between(r, 2, 20)
			if bounce {
				seconds, seen = between(r, 5, 30), 1
			}
			if err := row(id("S", 8, i+1), id("V", 7, 1+r.IntN(c.n.sessions)), who, camp, clock(at), strconv.Itoa(seconds), strconv.Itoa(seen),
				oneOf(r, []string{"desktop", "mobile", "mobile", "tablet"}), oneOf(r, []string{"Chrome", "Safari", "Firefox", "Edge"}), country, oneOf(r, pages), flag(bounce)); err != nil {
				return err
			}
		}
		return nil
	})
}

var (
	orderStates = []string{"delivered", "shipped", "confirmed", "pending", "cancelled", "returned"}
	orderW      = []float64{58, 15, 10, 4, 8, 5}
	channels    = []string{"web", "mobile_app", "phone", "api"}
	channelW    = []float64{55, 35, 5, 5}
)

// sale is one order with everything that follows from it.
type sale struct {
	order, payments []string
	items           [][]string
	extra           []string // a payment that failed first
}

// makeOrders writes three tables at once, so that one order is in memory at a time.
func (c *company) makeOrders(ctx context.Context) error {
	type rows = func(...string) error
	return c.table(ctx, "orders", []string{"order_id", "customer_id", "created_at", "status", "items_total", "discount_amount", "shipping_amount", "total_amount", "channel"}, func(order rows) error {
		return c.table(ctx, "order_items", []string{"order_item_id", "order_id", "product_id", "quantity", "unit_price", "discount_percent", "line_total"}, func(item rows) error {
			return c.table(ctx, "payments", []string{"payment_id", "order_id", "customer_id", "amount", "currency", "method", "status", "created_at", "completed_at"}, func(payment rows) error {
				r := c.random(4)
				items, payments := 0, 0
				for i := range c.n.orders {
					s := c.sell(r, i, &items, &payments)
					err := order(s.order...)
					for _, x := range s.items {
						err = errors.Join(err, item(x...))
					}
					if s.extra != nil {
						err = errors.Join(err, payment(s.extra...))
					}
					if err := errors.Join(err, payment(s.payments...)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
}

func (c *company) sell(r *rand.Rand, i int, items, payments *int) sale {
	who := pickSum(r, c.activity)
	x := &c.customers[who]
	o := order{id: id("ORD", 7, i+1), customer: who, at: c.moment(r, x.registered)}
	x.orders = append(x.orders, i)
	c.orders = append(c.orders, o)
	var s sale
	lines, most := 1+pick(r, []float64{40, 28, 17, 10, 5}), 5
	if x.segment != "b2c" {
		lines = 1 + pick(r, []float64{25, 20, 17, 13, 10, 7, 5, 3})
	}
	if x.segment == "b2b_enterprise" {
		most *= between(r, 1, 5)
	}
	total := 0
	for range lines {
		p := oneOf(r, c.products)
		quantity, percent := between(r, 1, most), oneOf(r, []int{0, 0, 0, 5, 10, 15, 20})
		sum := p.price * quantity * (100 - percent) / 100
		total += sum
		*items++
		s.items = append(s.items, []string{id("OI", 8, *items), o.id, p.id, strconv.Itoa(quantity), money(p.price), strconv.Itoa(percent), money(sum)})
	}
	discount, shipping := total*r.IntN(6)/100, 0
	if total < 100_00 {
		shipping = r.IntN(16_00)
	}
	state := orderStates[pick(r, orderW)]
	amount := total - discount + shipping
	s.order = []string{o.id, x.id, clock(o.at), state, money(total), money(discount), money(shipping), money(amount), channels[pick(r, channelW)]}
	c.pay(r, &s, o, x, state, amount, payments)
	return s
}

func (c *company) pay(r *rand.Rand, s *sale, o order, x *customer, state string, amount int, payments *int) {
	method := oneOf(r, []string{"card", "card", "card", "paypal", "apple_pay", "google_pay"})
	if x.segment != "b2c" && r.Float64() < .4 {
		method = oneOf(r, []string{"bank_transfer", "invoice"})
	}
	at := o.at.Add(time.Duration(between(r, 5, 600)) * time.Second)
	if r.Float64() < .05 {
		*payments++
		s.extra = []string{id("PAY", 7, *payments), o.id, x.id, money(amount), "EUR", method, "failed", clock(at), ""}
		at = at.Add(time.Duration(between(r, 60, 3600)) * time.Second)
	}
	status, completed := "completed", clock(at.Add(time.Duration(between(r, 1, 86_400))*time.Second))
	switch state {
	case "cancelled":
		status, completed = "cancelled", ""
	case "returned":
		status = "refunded"
	}
	*payments++
	s.payments = []string{id("PAY", 7, *payments), o.id, x.id, money(amount), "EUR", method, status, clock(at), completed}
}
