import BackupModel
import Foundation

@testable import Storage
@testable import Transfer

/// What servers of objects answer.
extension FuzzTarget {
  static var ofNetwork: [FuzzTarget] { [s3, gcs, sftp, token] }

  private struct Refused: Error {}

  private static func response(_ status: Int, _ body: [UInt8]) -> HTTPResponse {
    HTTPResponse(status: status, headers: [:], body: body, received: 0)
  }

  private static let s3 = FuzzTarget(
    "s3",
    text: [
      """
      <?xml version="1.0" encoding="UTF-8"?>
      <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>clusters/</Prefix>
      <IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b&#x41;</NextContinuationToken><!-- a comment -->
      <Contents><Key>clusters/a</Key><LastModified>2026-11-26T12:00:00.000Z</LastModified><Size>42</Size>
      <StorageClass>GLACIER</StorageClass></Contents><CommonPrefixes><Prefix>clusters/b/</Prefix></CommonPrefixes>
      </ListBucketResult>
      """, "<Error><Code>SlowDown</Code><Message>Later.</Message></Error>",
      "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error><Deleted/></DeleteResult>",
    ]
  ) { bytes in
    for status in [200, 403, 503] {
      let error = S3Error(response(status, bytes), bucket: "b")
      _ = (error.summary, error.detail, error.hint, error.isTransient, S3Error.isError(bytes))
    }
    guard let page = XMLElement.parse(bytes) else { throw Refused() }
    guard S3Store.isPage(page, after: "token") else { return }
    var listing = Listing()
    store.take(page, after: "clusters/", into: &listing)
    _ = listing.arranged(below: "clusters")
  }

  private static let store = S3Store(
    S3Settings(bucket: "b", region: "us-east-1", endpoint: "http://127.0.0.1:1"),
    credentials: AWSCredentials(.automatic, environment: [:]))

  private static let gcs = FuzzTarget(
    "gcs",
    text: [
      """
      {"kind": "storage#objects", "nextPageToken": "t", "prefixes": ["a/"], "items": [{"name": "a", "size": "12",
       "timeCreated": "2026-11-26T12:00:00.000Z", "storageClass": "NEARLINE", "md5Hash": "x", "metadata": {"a": "b"}}]}
      """, #"{"kind": "storage#objects"}"#,
    ]
  ) { bytes in
    _ = GCSDocument.parse(GCSObject.self, bytes)
    for status in [200, 404, 503] {
      let error = GCSError(response(status, bytes), bucket: "b")
      _ = (error.summary, error.detail, error.hint, error.isTransient, error.isBucketMissing)
    }
    guard GCSDocument.parse(GCSListing.self, bytes) != nil else { throw Refused() }
  }

  private static let sftp = FuzzTarget(
    "sftp",
    text: [
      "-rw-r-----    1 backup   backup       8192 Nov 26 12:57 manifest\r\n"
        + "drwxr-x---    2 a user   a group      4096 Jan  1  2026 packs\n"
    ]
  ) { guard SFTPEntry.parse($0) != nil else { throw Refused() } }

  private static let token = FuzzTarget(
    "token",
    text: [
      #"{"access_token": "abc", "expires_in": 3599, "error": "invalid_grant", "error_description": "no", "#
        + #""type": "service_account", "client_email": "a@b", "private_key": "k", "private_key_id": "i"}"#
    ]
  ) { bytes in
    _ = GCPCredentialError.refused(response(400, bytes), by: "it").detail
    let token = GCPToken.parse(bytes, at: .now())
    // It becomes a line of a request.
    precondition(token?.header.value.contains { $0.isNewline } != true)
    let account = try GCPServiceAccount(keyFile: bytes)
    do { _ = try account.assertion(scope: "s", at: .now()) } catch {}
  }
}
