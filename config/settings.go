package config

import (
	"encoding"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"aida/config/strict"
)

// Setting is one value of the configuration with where it comes from. A secret shows only whether it is set.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
	Origin string `json:"origin"` // file:line, environment NAME, a flag, or default
}

// Settings are all values that are in force, by key.
func (c *Config) Settings() (out []Setting) {
	walkSettings("", reflect.ValueOf(c).Elem(), func(path string, v reflect.Value) {
		s := Setting{Key: path, Origin: c.originOf(path)}
		if secret, ok := v.Interface().(Secret); ok {
			if s.Secret, s.Value = true, "not set"; secret != "" {
				s.Value = "set"
			}
		} else {
			s.Value = settingText(v)
		}
		out = append(out, s)
	})
	slices.SortFunc(out, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// SetOrigin tells that a value was given otherwise than by the files, as by a flag.
func (c *Config) SetOrigin(key, origin string) {
	if c.origins == nil {
		c.origins = map[string]string{}
	}
	c.origins[key] = origin
}

func (c *Config) originOf(path string) string {
	if o, ok := c.origins[path]; ok {
		return o
	}
	return "default"
}

// walkSettings visits each value that a person sets.
func walkSettings(path string, v reflect.Value, each func(string, reflect.Value)) {
	join := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	if _, ok := v.Interface().(encoding.TextMarshaler); ok || path != "" && v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
		each(path, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if key := v.Type().Field(i).Tag.Get("yaml"); key != "" && key != "-" {
				walkSettings(join(key), v.Field(i), each)
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walkSettings(join(k.String()), v.MapIndex(k), each)
		}
	}
}

func settingText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Duration:
		return time.Duration(x).String()
	case Size:
		return sizeText(int64(x))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return settingText(v.Elem())
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			if item := v.Index(i); item.Kind() == reflect.Struct {
				items = append(items, fmt.Sprint(item.Field(0).Interface())) // a list of admins shows their names
			} else {
				items = append(items, settingText(item))
			}
		}
		return strings.Join(items, ", ")
	}
	return fmt.Sprint(v.Interface())
}

func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.n && n%u.n == 0 {
			return fmt.Sprintf("%d %s", n/u.n, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// traceFile notes for each key of instance.yaml the line on which it stands, and where a ${VARIABLE} in it comes from.
func (c *Config) traceFile(o Options, file string, text []byte) {
	for key, line := range strict.Places(strict.Source{Name: file, Text: text}) {
		origin := fmt.Sprintf("%s:%d", file, line)
		if name := c.variables[key]; name != "" {
			origin += ", with " + name + " of " + strings.TrimSuffix(variableOrigin(o, name), " "+name)
		}
		c.SetOrigin(key, origin)
	}
}

// traceVariable notes that a variable decided about a value.
func (c *Config) traceVariable(o Options, field any, name string) {
	walkSettings("", reflect.ValueOf(c).Elem(), func(path string, v reflect.Value) {
		if v.CanAddr() && v.Addr().Interface() == field {
			c.SetOrigin(path, variableOrigin(o, name))
		}
	})
}

// variableOrigin tells whether a variable is of the process or of a .env file.
func variableOrigin(o Options, name string) string {
	env := o.Env
	if env == nil {
		env = os.LookupEnv
	}
	if _, ok := env(name); ok {
		return "environment " + name
	}
	found := "environment " + name
	for _, file := range []string{".env", filepath.Join(dirOf(o, env), ".env")} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			key, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF")), "export "), "=")
			if strings.TrimSpace(key) == name {
				found = fmt.Sprintf("%s:%d", file, n)
			}
		}
	}
	return found
}

func dirOf(o Options, env lookup) string {
	if o.ConfigDir != "" {
		return o.ConfigDir
	}
	if dir, _ := env("CONFIG_DIR"); dir != "" {
		return dir
	}
	return "config"
}
