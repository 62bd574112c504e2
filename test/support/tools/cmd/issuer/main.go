// issuer: a small issuer of OpenID Connect. Its keys are files, so that a test can rotate, remove and break them:
//
//	issuer key   -dir DIR -kid K [-alg RS256|ES256|EdDSA]    makes DIR/K.pem; served from then on
//	issuer serve -dir DIR -port N [-cert F -key F]           discovery document and JWK Set, over TLS with a certificate
//	issuer token -dir DIR -kid K -iss URL [-aud A] [-sub S] [-for 10m] [-claims JSON]
//	issuer jwks  -dir DIR                                    the same set on stdout, for a file
//
// DIR/answer, when there, is what /keys answers instead: "STATUS\nBODY".
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "issuer:", err)
		os.Exit(1)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func makeKey(alg string) (crypto.Signer, error) {
	switch alg {
	case "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no algorithm %q", alg)
}

// Written beside its place and moved there: a reader sees all of it or nothing.
func storeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func loadKey(path string) (crypto.Signer, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(bytes)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(crypto.Signer), nil
}

func jwk(kid string, key crypto.Signer) map[string]string {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(public.N.Bytes()),
			"e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 04 x y
		fatal(err)
		return map[string]string{"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": b64(public)}
	}
	return nil
}

func keySet(dir string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, err
	}
	keys := []map[string]string{}
	for _, file := range files {
		key, err := loadKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, jwk(strings.TrimSuffix(filepath.Base(file), ".pem"), key))
	}
	return json.Marshal(map[string]any{"keys": keys})
}

func serve(dir string, port int, cert, key string) error {
	scheme := "http"
	if cert != "" {
		scheme = "https"
	}
	issuer := fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		if answer, err := os.ReadFile(filepath.Join(dir, "answer")); err == nil {
			status, body, _ := strings.Cut(string(answer), "\n")
			code, err := strconv.Atoi(status)
			fatal(err)
			w.Header().Set("Location", issuer+"/.well-known/openid-configuration")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
			return
		}
		set, err := keySet(dir)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(set)
	})
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	if cert != "" {
		return server.ServeTLS(listener, cert, key)
	}
	return server.Serve(listener)
}

// The algorithm of a key, and what signs with it.
func signer(key crypto.Signer) (string, func(string) []byte) {
	switch own := key.(type) {
	case *rsa.PrivateKey:
		return "RS256", func(text string) []byte {
			hash := sha256.Sum256([]byte(text))
			made, err := rsa.SignPKCS1v15(rand.Reader, own, crypto.SHA256, hash[:])
			fatal(err)
			return made
		}
	case *ecdsa.PrivateKey:
		return "ES256", func(text string) []byte {
			hash := sha256.Sum256([]byte(text))
			r, s, err := ecdsa.Sign(rand.Reader, own, hash[:])
			fatal(err)
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		return "EdDSA", func(text string) []byte { return ed25519.Sign(own, []byte(text)) }
	}
	fatal(fmt.Errorf("no such key"))
	return "", nil
}

func main() {
	if len(os.Args) < 2 {
		fatal(fmt.Errorf("usage: issuer key|serve|token|jwks FLAGS"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	dir := flags.String("dir", "", "folder of its keys")
	kid := flags.String("kid", "", "id of a key")
	alg := flags.String("alg", "ES256", "of a new key")
	port := flags.Int("port", 0, "to listen on")
	cert := flags.String("cert", "", "its certificate, PEM; none: plain http")
	key := flags.String("key", "", "of the certificate")
	iss := flags.String("iss", "", "claim")
	aud := flags.String("aud", "interlink", "claim, several with commas")
	sub := flags.String("sub", "", "claim")
	valid := flags.Duration("for", 10*time.Minute, "until exp, from now")
	claims := flags.String("claims", "{}", "more of them, or others")
	fatal(flags.Parse(os.Args[2:]))
	switch os.Args[1] {
	case "key":
		made, err := makeKey(*alg)
		fatal(err)
		fatal(storeKey(filepath.Join(*dir, *kid+".pem"), made))
	case "serve":
		fatal(serve(*dir, *port, *cert, *key))
	case "jwks":
		set, err := keySet(*dir)
		fatal(err)
		fmt.Println(string(set))
	case "token":
		own, err := loadKey(filepath.Join(*dir, *kid+".pem"))
		fatal(err)
		now := time.Now()
		all := map[string]any{"iss": *iss, "aud": strings.Split(*aud, ","), "sub": *sub, "iat": now.Unix(), "exp": now.Add(*valid).Unix()}
		fatal(json.Unmarshal([]byte(*claims), &all))
		for name, value := range all {
			if value == nil {
				delete(all, name)
			}
		}
		name, signature := signer(own)
		header, err := json.Marshal(map[string]string{"alg": name, "kid": *kid, "typ": "JWT"})
		fatal(err)
		body, err := json.Marshal(all)
		fatal(err)
		text := b64(header) + "." + b64(body)
		fmt.Println(text + "." + b64(signature(text)))
	default:
		fatal(fmt.Errorf("no command %q", os.Args[1]))
	}
}
