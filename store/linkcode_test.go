package store

import (
	"testing"
)

func TestALinkCodeWorksOnceAndNotForEver(t *testing.T) {
	s, now := clocked(t)
	eva, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	use := func(code string) error {
		_, err := s.UseLinkCode(t.Context(), "test", eva.ID, "telegram", code)
		return err
	}
	first, err := s.NewLinkCode(t.Context(), "telegram", "42")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.NewLinkCode(t.Context(), "telegram", "42")
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		if err := use(first); CodeOf(err) != NotFound {
			t.Errorf("a replaced code: %v", err)
		}
	}
	if err := use(" " + second + "\n"); err != nil {
		t.Errorf("the code: %v", err)
	}
	if err := use(second); CodeOf(err) != NotFound {
		t.Errorf("the code again: %v", err)
	}
	late, err := s.NewLinkCode(t.Context(), "telegram", "42")
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(LinkCodeLife)
	if err := use(late); CodeOf(err) != NotFound {
		t.Errorf("an expired code: %v", err)
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	s, now := clocked(t)
	eva, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := s.NewLinkCode(t.Context(), "telegram", "42")
	if err != nil {
		t.Fatal(err)
	}
	for range linkGuesses {
		own, err := s.NewLinkCode(t.Context(), "telegram", "43") // right codes in between give no further guesses
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.UseLinkCode(t.Context(), "test", eva.ID, "telegram", own); err != nil {
			t.Fatal(err)
		}
		if _, err := s.UseLinkCode(t.Context(), "test", eva.ID, "telegram", "x"); CodeOf(err) != NotFound {
			t.Fatal(err)
		}
	}
	if _, err := s.UseLinkCode(t.Context(), "test", eva.ID, "telegram", code); CodeOf(err) != Unauthorized {
		t.Errorf("the right code after too many wrong ones: %v", err)
	}
	*now = now.Add(linkGuessWindow)
	if code, err = s.NewLinkCode(t.Context(), "telegram", "42"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseLinkCode(t.Context(), "test", eva.ID, "telegram", code); err != nil {
		t.Errorf("after a while: %v", err)
	}
}
