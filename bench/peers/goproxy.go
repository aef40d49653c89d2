// A minimal forward proxy in Go: net/http, io.Copy, an access log.
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

var transport = &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true}

func tunnel(w http.ResponseWriter, r *http.Request) int64 {
	upstream, err := net.DialTimeout("tcp", r.Host, 30*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return 0
	}
	defer upstream.Close()
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return 0
	}
	defer client.Close()
	client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
	done := make(chan bool)
	go func() {
		io.Copy(upstream, client)
		upstream.(*net.TCPConn).CloseWrite()
		done <- true
	}()
	down, _ := io.Copy(client, upstream)
	client.(*net.TCPConn).CloseWrite()
	<-done
	return down
}

func forward(w http.ResponseWriter, r *http.Request) int64 {
	r.RequestURI = ""
	r.Header.Del("Proxy-Connection")
	r.Header.Add("Via", "1.1 go")
	reply, err := transport.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return 0
	}
	defer reply.Body.Close()
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.StatusCode)
	down, _ := io.Copy(w, reply.Body)
	return down
}

func main() {
	file, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		log.Fatal(err)
	}
	access := log.New(file, "", log.LstdFlags)
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started, serve := time.Now(), forward
		if r.Method == http.MethodConnect {
			serve = tunnel
		}
		down := serve(w, r)
		access.Print(r.RemoteAddr, " ", r.Method, " ", r.Host, " ", down, " ", time.Since(started))
	})))
}
