// Package telegramtest is a strict stand-in for Telegram's Bot API (https://core.telegram.org/bots/api): it knows the calls that
// the bot makes and refuses all others, checks MarkdownV2 as Telegram does, counts lengths in UTF-16 units, keeps updates until
// they are confirmed, and can be told to throttle.
//
//	api := telegramtest.New(t, "123:token")
//	api.Say(7, "/start")
package telegramtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures are PNG or JPEG
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// Message is what a chat got. Text has no marks left: it is what people see.
type Message struct {
	Chat    string
	Text    string
	Photo   int // bytes
	Buttons []string
}

// Server is the API with its chats.
type Server struct {
	URL   string
	token string
	t     testing.TB

	mu       sync.Mutex
	updates  []map[string]any
	next     int64
	messages []Message
	toasts   []string
	blocked  map[string]bool
	throttle int
	changed  chan struct{}
}

// New starts a server that ends with the test.
func New(t testing.TB, token string) *Server {
	s := &Server{token: token, t: t, next: 1, blocked: map[string]bool{}, changed: make(chan struct{})}
	srv := httptest.NewServer(s)
	s.URL = srv.URL
	t.Cleanup(srv.Close)
	return s
}

// Say makes a person send a text in a private chat.
func (s *Server) Say(chat int64, text string) { s.SayIn(chat, "private", text) }

// SayIn makes a person send a text in a chat of a type.
func (s *Server) SayIn(chat int64, kind, text string) {
	s.push(map[string]any{"message": map[string]any{"message_id": 1, "date": time.Now().Unix(), "text": text,
		"from": map[string]any{"id": chat, "is_bot": false, "first_name": "Eva"}, "chat": map[string]any{"id": chat, "type": kind}}})
}

// Press makes a person press a button of a message.
func (s *Server) Press(chat int64, data string) {
	s.push(map[string]any{"callback_query": map[string]any{"id": "q1", "data": data, "chat_instance": "1", "from": map[string]any{"id": chat, "is_bot": false, "first_name": "Eva"},
		"message": map[string]any{"message_id": 1, "date": time.Now().Unix(), "chat": map[string]any{"id": chat, "type": "private"}}}})
}

func (s *Server) push(u map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u["update_id"] = s.next
	s.next++
	s.updates = append(s.updates, u)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Block makes a chat refuse the bot.
func (s *Server) Block(chat string) { s.mu.Lock(); s.blocked[chat] = true; s.mu.Unlock() }

// Throttle makes the next n messages be answered by 429 with a pause of a second.
func (s *Server) Throttle(n int) { s.mu.Lock(); s.throttle = n; s.mu.Unlock() }

// Messages is what was sent so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Toasts are the answers to buttons.
func (s *Server) Toasts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.toasts...)
}

// Wait waits for the message number n, from 1.
func (s *Server) Wait(n int) Message {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if list := s.Messages(); len(list) >= n {
			return list[n-1]
		}
	}
	s.t.Fatalf("message %d did not come: %v", n, s.Messages())
	return Message{}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method, ok := strings.CutPrefix(r.URL.Path, "/bot"+s.token+"/")
	if !ok {
		answer(w, http.StatusUnauthorized, "Unauthorized", nil)
		return
	}
	params, photo, err := read(r)
	if errors.Is(err, io.ErrUnexpectedEOF) || r.Context().Err() != nil {
		return // the bot was killed in the middle of its call
	}
	if err != nil {
		s.t.Errorf("%s: %v", method, err)
		answer(w, http.StatusBadRequest, "Bad Request: "+err.Error(), nil)
		return
	}
	switch method {
	case "getMe":
		answer(w, http.StatusOK, "", map[string]any{"id": 1, "is_bot": true, "first_name": "Aida", "username": "aida_test_bot"})
	case "getUpdates":
		s.getUpdates(w, r, params)
	case "sendMessage", "sendPhoto":
		s.send(w, method, params, photo)
	case "answerCallbackQuery":
		s.mu.Lock()
		s.toasts = append(s.toasts, params["text"])
		s.mu.Unlock()
		answer(w, http.StatusOK, "", true)
	default:
		s.t.Errorf("an unknown method was called: %s", method)
		answer(w, http.StatusNotFound, "Not Found: method not found", nil)
	}
}

// read gives the parameters of a call, as JSON or as a form with a file.
func read(r *http.Request) (map[string]string, []byte, error) {
	out := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			return nil, nil, err
		}
		for k, v := range m {
			if text, ok := v.(string); ok {
				out[k] = text
			} else {
				raw, _ := json.Marshal(v)
				out[k] = string(raw)
			}
		}
		return out, nil, nil
	}
	if r.ContentLength == 0 || r.Header.Get("Content-Type") == "" {
		return out, nil, nil
	}
	body := bufio.NewReader(r.Body)
	if _, err := body.Peek(1); err == io.EOF {
		return out, nil, nil // a call without parameters has an empty form
	}
	r.Body = io.NopCloser(body)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, nil, err
	}
	var photo []byte
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return out, photo, nil
		}
		if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, err
		}
		if part.FileName() != "" {
			photo = data
		} else {
			out[part.FormName()] = string(data)
		}
	}
}

func answer(w http.ResponseWriter, status int, description string, result any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	out := map[string]any{"ok": status == http.StatusOK}
	if status == http.StatusOK {
		out["result"] = result
	} else {
		out["error_code"], out["description"] = status, description
	}
	if status == http.StatusTooManyRequests {
		out["parameters"] = map[string]int{"retry_after": 1}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// getUpdates gives what was not confirmed yet: a call with a higher offset confirms all below it.
func (s *Server) getUpdates(w http.ResponseWriter, r *http.Request, params map[string]string) {
	offset, _ := strconv.ParseInt(params["offset"], 10, 64)
	wait, _ := strconv.Atoi(params["timeout"])
	deadline := time.After(time.Duration(wait) * time.Second)
	for {
		s.mu.Lock()
		for len(s.updates) > 0 && s.updates[0]["update_id"].(int64) < offset {
			s.updates = s.updates[1:]
		}
		list, changed := append([]map[string]any{}, s.updates...), s.changed
		s.mu.Unlock()
		if len(list) > 0 {
			answer(w, http.StatusOK, "", list)
			return
		}
		select {
		case <-changed:
		case <-deadline:
			answer(w, http.StatusOK, "", []any{})
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) send(w http.ResponseWriter, method string, params map[string]string, photo []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	chat := strings.Trim(params["chat_id"], `"`)
	text, limit := params["text"], 4096
	if method == "sendPhoto" {
		text, limit = params["caption"], 1024
	}
	switch {
	case s.throttle > 0:
		s.throttle--
		answer(w, http.StatusTooManyRequests, "Too Many Requests: retry after 1", nil)
		return
	case s.blocked[chat]:
		answer(w, http.StatusForbidden, "Forbidden: bot was blocked by the user", nil)
		return
	case method == "sendMessage" && text == "":
		answer(w, http.StatusBadRequest, "Bad Request: message text is empty", nil)
		return
	case method == "sendPhoto" && len(photo) == 0:
		answer(w, http.StatusBadRequest, "Bad Request: there is no photo in the request", nil)
		return
	}
	if method == "sendPhoto" {
		if fault := unfit(photo); fault != "" {
			answer(w, http.StatusBadRequest, "Bad Request: "+fault, nil)
			return
		}
	}
	if params["parse_mode"] != "" {
		if params["parse_mode"] != "MarkdownV2" {
			s.t.Errorf("parse mode %q", params["parse_mode"])
		}
		seen, err := parse(text)
		if err != nil {
			answer(w, http.StatusBadRequest, "Bad Request: can't parse entities: "+err.Error(), nil)
			return
		}
		text = seen
	}
	if len(utf16.Encode([]rune(text))) > limit {
		answer(w, http.StatusBadRequest, "Bad Request: message is too long", nil)
		return
	}
	m := Message{Chat: chat, Text: text, Photo: len(photo)}
	if raw := params["reply_markup"]; raw != "" {
		var k struct {
			Rows [][]struct {
				Data string `json:"callback_data"`
			} `json:"inline_keyboard"`
		}
		if err := json.Unmarshal([]byte(raw), &k); err != nil {
			s.t.Errorf("reply_markup: %v", err)
		}
		for _, row := range k.Rows {
			for _, b := range row {
				if len(b.Data) < 1 || len(b.Data) > 64 {
					answer(w, http.StatusBadRequest, "Bad Request: BUTTON_DATA_INVALID", nil)
					return
				}
				m.Buttons = append(m.Buttons, b.Data)
			}
		}
	}
	s.messages = append(s.messages, m)
	answer(w, http.StatusOK, "", map[string]any{"message_id": len(s.messages), "date": time.Now().Unix(), "chat": map[string]any{"id": 1, "type": "private"}})
}

// unfit says why Telegram does not take a picture; "" = it does.
func unfit(photo []byte) string {
	c, _, err := image.DecodeConfig(bytes.NewReader(photo))
	switch {
	case err != nil:
		return "IMAGE_PROCESS_FAILED"
	case c.Width+c.Height > 10_000 || max(c.Width, c.Height) > 20*min(c.Width, c.Height):
		return "PHOTO_INVALID_DIMENSIONS"
	}
	return ""
}

// parse reads MarkdownV2 and gives what people see. All of _*[]()~`>#+-=|{}.! must be escaped where they mark nothing.
func parse(s string) (string, error) {
	var out strings.Builder
	var open []string
	for i := 0; i < len(s); {
		c := s[i]
		inCode := len(open) > 0 && strings.HasPrefix(open[len(open)-1], "`")
		switch {
		case c == '\\' && i+1 < len(s) && s[i+1] > 0 && s[i+1] < 127:
			out.WriteByte(s[i+1])
			i += 2
			continue
		case c == '`':
			mark := "`"
			if strings.HasPrefix(s[i:], "```") {
				mark = "```"
			}
			open = toggle(open, mark)
			i += len(mark)
			continue
		case inCode:
		case c == '*' || c == '_' || c == '~':
			open = toggle(open, string(c))
			i++
			continue
		case c == '[':
			open = append(open, "[")
			i++
			continue
		case c == ']' && len(open) > 0 && open[len(open)-1] == "[":
			rest, ok := strings.CutPrefix(s[i:], "](")
			end := -1
			for j := 0; ok && j < len(rest); j++ {
				if rest[j] == '\\' {
					j++
				} else if rest[j] == ')' {
					end = j
					break
				}
			}
			if end < 0 {
				return "", fmt.Errorf("a link has no address at byte offset %d", i)
			}
			open = open[:len(open)-1]
			i += 2 + end + 1
			continue
		case strings.IndexByte("[]()>#+-=|{}.!", c) >= 0:
			return "", fmt.Errorf("character '%c' is reserved and must be escaped with the preceding '\\'", c)
		}
		out.WriteByte(c)
		i++
	}
	if len(open) > 0 {
		return "", fmt.Errorf("can't find end of the entity that begins with %q", open[len(open)-1])
	}
	return out.String(), nil
}

func toggle(open []string, mark string) []string {
	if n := len(open); n > 0 && open[n-1] == mark {
		return open[:n-1]
	}
	return append(open, mark)
}
