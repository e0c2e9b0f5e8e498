package app

import (
	"context"
	"errors"
	"time"

	"aida/services/notify/rule"
	"aida/store"
	"aida/syncer/query"
)

// Limits of the queries of alert rules, beside the rows that a rule looks at.
const (
	ruleTimeout = 30 * time.Second
	ruleSize    = 8 << 20
)

// querier runs the queries of alert rules over the newest generation.
type querier struct {
	p      *program
	engine *query.Engine
}

func (p *program) newQuerier() (*querier, error) {
	engine, err := query.New(query.Options{Open: func(f store.File) (query.File, error) { return p.lake.Open(f) }, Timeout: ruleTimeout, MaxSize: ruleSize})
	return &querier{p, engine}, err
}

// Query runs one SELECT with a person's access. The generation is held meanwhile.
func (q *querier) Query(ctx context.Context, access *store.Access, sql string, maxRows int) (rule.Result, error) {
	pin, err := q.p.store.Pin(ctx)
	if err != nil {
		return rule.Result{}, err
	}
	defer pin.Release()
	res, err := q.engine.Query(ctx, query.Request{Snapshot: pin.Snapshot, Access: access, SQL: sql, MaxRows: maxRows})
	var fault *query.Error
	if errors.As(err, &fault) {
		return rule.Result{}, &store.Error{Code: store.Invalid, Message: fault.Message}
	}
	if err != nil {
		return rule.Result{}, err
	}
	return rule.Result{Columns: res.Columns, Rows: res.Rows, More: res.Truncated, Data: res.Data}, nil
}
