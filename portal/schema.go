package portal

import (
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"time"
	"unicode"

	"aida/store"
)

// schemas writes JSON Schemas (2020-12, as OpenAPI 3.1 has them) of Go types, by the rules of encoding/json.
type schemas struct {
	named object
	types map[string]reflect.Type
}

// words are the values of types that are one of a few.
var words = map[reflect.Type][]any{
	reflect.TypeFor[store.Role]():          {store.Analyst, store.PrivateAnalyst, store.Admin},
	reflect.TypeFor[store.Visibility]():    {store.OpenAccess, store.PrivateAccess, store.RestrictedAccess},
	reflect.TypeFor[store.Severity]():      {store.Info, store.Warning, store.Critical},
	reflect.TypeFor[store.AlertState]():    {store.Fired, store.Repeated, store.Recovered},
	reflect.TypeFor[store.TokenKind]():     {store.APIToken, store.DeviceToken},
	reflect.TypeFor[store.Outcome]():       {store.Changed, store.Unchanged, store.Failed, store.Skipped, store.Remote, store.Running, store.Done, store.Partial, store.Interrupted},
	reflect.TypeFor[store.DeliveryState](): {"pending", "sending", "sent", "dead"},
}

// added are the fields of types that write their JSON by themselves, beside those that they hold.
var added = map[reflect.Type]object{
	reflect.TypeFor[store.RunTable](): {"duration_seconds": object{"type": "number"}},
}

func (s *schemas) of(v any) object { return s.typ(reflect.TypeOf(v)) }

func (s *schemas) typ(t reflect.Type) object {
	if enum := words[t]; enum != nil {
		return object{"type": "string", "enum": enum}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.Number]():
		return object{"type": "number"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.typ(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.typ(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.typ(t.Elem())}
	case reflect.Struct:
		return s.structure(t)
	}
	return object{} // of an interface: anything
}

// structure gives a reference to the schema of a named struct, which is written once.
func (s *schemas) structure(t reflect.Type) object {
	name := schemaName(t)
	if name == "" {
		return s.fields(t)
	}
	if other := s.types[name]; other != nil && other != t { // two rooms have a type of that name
		name = strings.ToUpper(path.Base(t.PkgPath())[:1]) + path.Base(t.PkgPath())[1:] + name
	}
	if _, known := s.named[name]; !known {
		s.types[name] = t
		s.named[name] = object{} // a type that holds itself finds it
		s.named[name] = s.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName is a type's name without what only we need to know.
func schemaName(t reflect.Type) string {
	name := t.Name()
	for _, tail := range []string{"View", "JSON"} {
		name = strings.TrimSuffix(name, tail)
	}
	if name == "" {
		return ""
	}
	r := []rune(name)
	return string(unicode.ToUpper(r[0])) + string(r[1:])
}

func (s *schemas) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && name == "" {
				walk(f.Type)
				continue
			}
			if name == "-" || !f.IsExported() {
				continue
			}
			if name == "" {
				name = f.Name
			}
			optional := strings.Contains(options, "omit")
			v := s.typ(f.Type)
			if f.Type.Kind() == reflect.Pointer && !optional {
				v = object{"anyOf": []any{v, object{"type": "null"}}}
			}
			properties[name] = v
			if !optional {
				required = append(required, name)
			}
		}
	}
	walk(t)
	for name, v := range added[t] {
		properties[name] = v
		required = append(required, name)
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}
