// Package portaltest holds what the portal's tests need of the outside world: an OpenID Connect provider and a mail server,
// both real servers on this machine and both strict: what they do not know fails the test.
//
//	issuer := portaltest.NewIssuer(t, "client", "secret")
//	issuer.Person = portaltest.Person{Subject: "1", Email: "eva@example.com", Verified: true}
package portaltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Person is who is signed in at the provider.
type Person struct {
	Subject, Email, Name, Domain string
	Verified                     any
}

// Issuer is an OpenID Connect provider that demands PKCE, state and nonce.
type Issuer struct {
	*httptest.Server
	Person Person
	Nonce  string // instead of the one that was asked for
	Ends   time.Duration

	t                *testing.T
	client, secret   string
	key              *ecdsa.PrivateKey
	mu               sync.Mutex
	codes            map[string]asked
	Signed, Redeemed int // sign-ins begun, codes redeemed
}

type asked struct{ nonce, challenge, redirect string }

// NewIssuer starts a provider that knows one client.
func NewIssuer(t *testing.T, client, secret string) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{t: t, client: client, secret: secret, key: key, codes: map[string]asked{}, Ends: time.Minute}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /auth", i.auth)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the provider was asked for %s %s, which it does not have", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	point, err := i.key.PublicKey.Bytes() // 4, then x and y of 32 bytes each (SEC 1)
	if err != nil {
		i.t.Error(err)
	}
	enc := base64.RawURLEncoding
	answer(w, map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
		"x": enc.EncodeToString(point[1:33]), "y": enc.EncodeToString(point[33:])}}})
}

// auth signs the person in at once and sends the browser back.
func (i *Issuer) auth(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, name := range []string{"state", "nonce", "code_challenge", "redirect_uri"} {
		if q.Get(name) == "" {
			i.t.Errorf("the sign-in was begun without %s", name)
		}
	}
	if q.Get("client_id") != i.client || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		i.t.Errorf("the sign-in was begun with %s", q.Encode())
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	code := base64.RawURLEncoding.EncodeToString(b)
	i.mu.Lock()
	i.codes[code] = asked{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	i.Signed++
	i.mu.Unlock()
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	i.mu.Lock()
	a, known := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code")) // a code works once
	person, nonce, ends := i.Person, i.Nonce, i.Ends
	if known {
		i.Redeemed++
	}
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if id != i.client || secret != i.secret || !known || a.redirect != r.PostFormValue("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	if nonce == "" {
		nonce = a.nonce
	}
	now := time.Now()
	claims := jwt.MapClaims{"iss": i.URL, "aud": i.client, "sub": person.Subject, "iat": now.Unix(), "exp": now.Add(ends).Unix(), "nonce": nonce,
		"email": person.Email, "email_verified": person.Verified, "name": person.Name}
	if person.Domain != "" {
		claims["hd"] = person.Domain
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(i.key)
	if err != nil {
		i.t.Error(err)
	}
	answer(w, map[string]any{"access_token": "unused", "token_type": "Bearer", "expires_in": 60, "id_token": text})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
