import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/** Fetches URLs through a proxy with Java's own client: PORT URL... The test's certificate is nobody's to verify. */
public class Fetch {
  public static void main(String[] words) throws Exception {
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, new TrustManager[] {new TrustsAll()}, null);
    HttpClient client = HttpClient.newBuilder()
        .proxy(ProxySelector.of(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0]))))
        .sslContext(tls)
        .build();
    for (int i = 1; i < words.length; i++) {
      HttpRequest get = HttpRequest.newBuilder(URI.create(words[i])).build();
      System.out.println(client.send(get, HttpResponse.BodyHandlers.ofString()).body());
      HttpRequest post = HttpRequest.newBuilder(URI.create(words[i]))
          .POST(HttpRequest.BodyPublishers.ofString("from java"))
          .build();
      System.out.println(client.send(post, HttpResponse.BodyHandlers.ofString()).body());
    }
  }

  static class TrustsAll extends X509ExtendedTrustManager {
    public void checkClientTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
    public void checkServerTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
    public void checkClientTrusted(X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}
    public void checkServerTrusted(X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}
    public void checkClientTrusted(X509Certificate[] chain, String type) {}
    public void checkServerTrusted(X509Certificate[] chain, String type) {}
    public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
  }
}
