package sample

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	firstNames = []string{"Anna", "Jan", "Eva", "Petr", "Lucie", "Tomas", "Maria", "Paul", "Sofia", "Liam", "Emma", "Noah", "Olga", "Marc", "Julia", "David", "Nina", "Adam", "Clara", "Hugo"}
	lastNames  = []string{"Novak", "Svoboda", "Müller", "Schmidt", "Smith", "Brown", "Rossi", "García", "Dubois", "Nowak", "Horvath", "Jansen", "Larsen", "Kowalski", "Weber", "Moreau", "Dvořák", "Fischer", "Taylor", "Silva"}
	countries  = []string{"CZ", "DE", "US", "GB", "FR", "PL", "AT", "SK", "NL", "IT", "ES", "SE"}
	countryW   = []float64{25, 15, 12, 10, 8, 7, 6, 5, 4, 3, 3, 2}
	cities     = map[string][]string{"CZ": {"Praha", "Brno", "Ostrava"}, "DE": {"Berlin", "München", "Hamburg"}, "US": {"New York", "Austin", "Chicago"}, "GB": {"London", "Leeds"},
		"FR": {"Paris", "Lyon"}, "PL": {"Warszawa", "Kraków"}, "AT": {"Wien", "Graz"}, "SK": {"Bratislava"}, "NL": {"Amsterdam"}, "IT": {"Milano", "Roma"}, "ES": {"Madrid"}, "SE": {"Stockholm"}}
	companies = []string{"Nordlicht", "Riverbank", "Blue Oak", "Kestrel", "Harbor", "Vltava", "Summit", "Lumen"}
	segments  = []string{"b2c", "b2b_small", "b2b_enterprise"}
	segmentW  = []float64{60, 25, 15}
)

func (c *company) makeCustomers(ctx context.Context) error {
	r := c.random(1)
	sum := 0.0
	return c.table(ctx, "customers", []string{"customer_id", "email", "first_name", "last_name", "company", "country", "city", "segment", "registration_date", "is_active"}, func(row func(...string) error) error {
		for i := range c.n.customers {
			x := customer{id: id("C", 6, i+1), segment: segments[pick(r, segmentW)], country: countries[pick(r, countryW)]}
			x.registered = c.start.AddDate(0, 0, r.IntN(max(1, 30*c.n.months*4/5)))
			first, last, firm := oneOf(r, firstNames), oneOf(r, lastNames), ""
			x.email = fmt.Sprintf("%s.%s%d@example.com", strings.ToLower(first), plain(last), i+1)
			if x.segment != "b2c" {
				firm = fmt.Sprintf("%s %s", oneOf(r, companies), oneOf(r, []string{"Ltd", "s.r.o.", "GmbH", "Inc"}))
			}
			if err := row(x.id, x.email, first, last, firm, x.country, oneOf(r, cities[x.country]), x.segment, day(x.registered), flag(r.Float64() < .85)); err != nil {
				return err
			}
			sum += pareto(r)
			c.activity = append(c.activity, sum)
			c.customers = append(c.customers, x)
		}
		return nil
	})
}

var accents = strings.NewReplacer("ü", "u", "í", "i", "ř", "r", "á", "a")

func plain(s string) string { return accents.Replace(strings.ToLower(s)) }

var sources = []string{"organic", "paid_search", "social", "referral", "direct"}

func (c *company) makeLeads(ctx context.Context) error {
	r := c.random(6)
	states, weights := []string{"new", "contacted", "qualified", "converted", "lost"}, []float64{35, 20, 15, 18, 12}
	return c.table(ctx, "web_leads", []string{"lead_id", "customer_id", "email", "source", "campaign_id", "created_at", "status", "converted_at"}, func(row func(...string) error) error {
		for i := range c.n.leads {
			at := c.moment(r, c.start)
			who, email := "", fmt.Sprintf("lead%d@example.com", i+1)
			if r.Float64() < .55 {
				x := oneOf(r, c.customers)
				who, email = x.id, x.email
			}
			state, converted := states[pick(r, weights)], ""
			if state == "converted" { // within 14 days after, never before
				converted = clock(at.Add(time.Duration(1+r.IntN(14*24*3600-1)) * time.Second))
			}
			camp := ""
			if r.Float64() < .40 {
				camp = c.campaignOn(r, at)
			}
			if err := row(id("L", 6, i+1), who, email, oneOf(r, sources), camp, clock(at), state, converted); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *company) makeTickets(ctx context.Context) error {
	r := c.random(7)
	categories := []string{"delivery", "payment", "product_quality", "returns", "account", "other"}
	subjects := []string{"Where is my order?", "The invoice, please", "It arrived damaged", "I want to return it", "I cannot sign in", "A question"}
	priorities, weights := []string{"low", "medium", "high", "critical"}, []float64{38, 35, 20, 7}
	return c.table(ctx, "support_tickets", []string{"ticket_id", "customer_id", "order_id", "category", "priority", "status", "channel", "subject", "created_at", "first_response_at", "resolved_at", "satisfaction_score"}, func(row func(...string) error) error {
		for i := range c.n.tickets {
			x := &c.customers[pickSum(r, c.activity)]
			from, ord := x.registered, ""
			if len(x.orders) > 0 && r.Float64() < .6 {
				o := c.orders[oneOf(r, x.orders)]
				ord, from = o.id, o.at
			}
			at, cat := c.moment(r, from), r.IntN(len(categories))
			status, response, resolved, score := oneOf(r, []string{"open", "pending"}), "", "", ""
			answered := at.Add(time.Duration(between(r, 5, 48*60)) * time.Minute)
			if done := r.Float64() < .75; done || r.Float64() < .5 {
				response = clock(answered)
				if done {
					status = oneOf(r, []string{"resolved", "closed"})
					resolved = clock(answered.Add(time.Duration(between(r, 10, 7*24*60)) * time.Minute))
					score = strconv.Itoa(1 + pick(r, []float64{4, 6, 15, 35, 40}))
				}
			}
			if err := row(id("TKT", 6, i+1), x.id, ord, categories[cat], priorities[pick(r, weights)], status, oneOf(r, []string{"email", "chat", "phone", "web"}),
				subjects[cat], clock(at), response, resolved, score); err != nil {
				return err
			}
		}
		return nil
	})
}
