package tree

import (
	"context"
	"time"

	"aida/store"

	"github.com/goccy/go-yaml"
)

// Metrics are the business metrics that a user may see.
type Metrics interface {
	Metrics(ctx context.Context, a *store.Access) ([]store.Metric, error)
}

type metricsKey struct {
	userID  int64
	version int64 // of access; every change of a metric moves it too
}

// metrics gives docs/metrics: the definitions as they are written, below their categories, and metrics.yml, which lists them.
func (c *Cache) metrics(o Options, a *store.Access) []document {
	if o.Metrics == nil {
		return nil
	}
	key := metricsKey{a.User.ID, a.Version}
	c.mu.Lock()
	x, ok := c.metric.get(key)
	c.mu.Unlock()
	if ok {
		return x
	}
	list, err := o.Metrics.Metrics(context.Background(), a)
	if err != nil {
		return []document{{"docs/metrics/metrics.yml", fixed("# The metrics cannot be read now, an admin finds the reason in the log.\n"), time.Time{}}}
	}
	var newest time.Time
	var index []yaml.MapSlice
	for _, m := range list {
		if m.Problem != "" {
			continue
		}
		if m.ChangedAt.After(newest) {
			newest = m.ChangedAt
		}
		text := m.Text
		x = append(x, document{"docs/metrics/" + m.Path, &doc{c: c, write: func() string { return text }}, m.ChangedAt})
		index = append(index, yaml.MapSlice{{Key: "name", Value: m.Name}, {Key: "display_name", Value: m.DisplayName}, {Key: "category", Value: m.Category}, {Key: "file", Value: m.Path}})
	}
	if len(x) > 0 {
		text := "# The company's metrics that you can compute: read a metric's file before you compute it.\n" + render(yaml.MapSlice{{Key: "metrics", Value: index}})
		x = append(x, document{"docs/metrics/metrics.yml", &doc{c: c, write: func() string { return text }}, newest})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metric.put(key, x, 1)
	return x
}
