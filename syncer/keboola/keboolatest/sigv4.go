package keboolatest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// checkV4 checks a request's Signature Version 4, as
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html tells.
func (s *Server) checkV4(r *http.Request) *denial {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return &denial{http.StatusForbidden, "AccessDenied"}
	}
	part := map[string]string{}
	for _, p := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		part[key] = value
	}
	id, scope, _ := strings.Cut(part["Credential"], "/")
	secret, token := s.pairOf(id)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil || time.Since(at).Abs() > 15*time.Minute:
		return &denial{http.StatusForbidden, "RequestTimeTooSkewed"}
	case scope != at.Format("20060102")+"/"+region+"/s3/aws4_request":
		return &denial{http.StatusBadRequest, "AuthorizationHeaderMalformed"}
	case !s.valid[id] || !s.valid[r.Header.Get("X-Amz-Security-Token")]:
		return &denial{http.StatusBadRequest, "ExpiredToken"}
	case token != r.Header.Get("X-Amz-Security-Token"):
		return &denial{http.StatusForbidden, "InvalidToken"}
	case r.Header.Get("X-Amz-Content-Sha256") == "":
		return &denial{http.StatusBadRequest, "MissingSecurityHeader"}
	case !slices.Contains(strings.Split(part["SignedHeaders"], ";"), "host"):
		return &denial{http.StatusForbidden, "AccessDenied"}
	}
	if want := signV4(r, secret, at, region, strings.Split(part["SignedHeaders"], ";")); want != part["Signature"] {
		return &denial{http.StatusForbidden, "SignatureDoesNotMatch"}
	}
	return nil
}

// pairOf gives the secret key and the session token that were handed out with an access key.
func (s *Server) pairOf(id string) (secret, token string) {
	i := slices.Index(s.secrets, id)
	if i < 0 || i+2 >= len(s.secrets) {
		return "", ""
	}
	return s.secrets[i+1], s.secrets[i+2]
}

func signV4(r *http.Request, secret string, at time.Time, region string, signed []string) string {
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	var query []string
	for key, values := range r.URL.Query() {
		for _, v := range values {
			query = append(query, escape(key, false)+"="+escape(v, false))
		}
	}
	slices.Sort(query)
	canonical := strings.Join([]string{r.Method, escape(r.URL.Path, true), strings.Join(query, "&"), headers.String(), strings.Join(signed, ";"),
		r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	day := at.Format("20060102")
	hash := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at.Format("20060102T150405Z"), day + "/" + region + "/s3/aws4_request", hex.EncodeToString(hash[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "s3", "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// escape is AWS's URI encoding: unreserved characters stay, and the slash in a path.
func escape(text string, path bool) string {
	out := strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(text))
	if path {
		out = strings.ReplaceAll(out, "%2F", "/")
	}
	return out
}
