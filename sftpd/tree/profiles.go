package tree

import (
	"context"
	"time"

	"aida/store"
)

// Profiles is what is known of tables' values, as one document for a user.
type Profiles interface {
	// ProfilesChangedAt is when a profile last changed; profiles are made after a generation is published.
	ProfilesChangedAt(ctx context.Context) (time.Time, error)
	ProfilesJSON(ctx context.Context, a *store.Access) (string, error)
}

type profilesKey struct {
	catalogKey
	version int64 // of access; every change of a definition moves it too
	changed time.Time
}

// profiles gives docs/profiles.json; nothing as long as no table has a profile.
func (c *Cache) profiles(o Options, a *store.Access) []document {
	if o.Profiles == nil {
		return nil
	}
	changed, err := o.Profiles.ProfilesChangedAt(context.Background())
	if err != nil || changed.IsZero() {
		return nil
	}
	key := profilesKey{keyOf(o.Pin.Snapshot, a), a.Version, changed}
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.profiled.get(key)
	if !ok {
		d = &doc{c: c, write: func() string {
			text, err := o.Profiles.ProfilesJSON(context.Background(), a)
			if err != nil {
				return "{\"error\": \"the profiles cannot be read now, an admin finds the reason in the log\"}\n"
			}
			return text
		}}
		c.profiled.put(key, d, 1)
	}
	return []document{{"docs/profiles.json", d, changed}}
}
