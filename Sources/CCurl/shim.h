#pragma once
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* <unistd.h> brings types that Swift's Glibc module may know otherwise. */
extern int close(int descriptor);

/* curl_easy_setopt and curl_easy_getinfo take a variable argument, which Swift does not call: one function a type. */
static inline CURLcode backupd_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode backupd_curl_set_size(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode backupd_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode backupd_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode backupd_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}
typedef size_t (*backupd_curl_transfer)(char *data, size_t size, size_t count, void *context);
/* For CURLOPT_WRITEFUNCTION, CURLOPT_READFUNCTION and CURLOPT_HEADERFUNCTION, which have one form. */
static inline CURLcode backupd_curl_set_transfer(CURL *handle, CURLoption option, backupd_curl_transfer function) {
    return curl_easy_setopt(handle, option, function);
}
typedef int (*backupd_curl_seek)(void *context, curl_off_t offset, int origin);
static inline CURLcode backupd_curl_set_seek(CURL *handle, backupd_curl_seek function) {
    return curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, function);
}
typedef int (*backupd_curl_prerequest)(void *context, char *to, char *from, int toPort, int fromPort);
static inline CURLcode backupd_curl_set_prerequest(CURL *handle, backupd_curl_prerequest function) {
    return curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, function);
}
static inline CURLcode backupd_curl_get_long(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLcode backupd_curl_get_size(CURL *handle, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(handle, info, value);
}
/* Notes in *place the socket that was opened last, -1 once it is closed. */
static inline int backupd_curl_opened(void *place, curl_socket_t descriptor, curlsocktype purpose) {
    (void)purpose;
    *(int *)place = descriptor;
    return CURL_SOCKOPT_OK;
}
static inline int backupd_curl_closed(void *place, curl_socket_t descriptor) {
    if (*(int *)place == descriptor) *(int *)place = -1;
    return close(descriptor);
}
/* `place` is to outlive every connection that the handle opens. */
static inline void backupd_curl_note_socket(CURL *handle, int *place) {
    curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, backupd_curl_opened);
    curl_easy_setopt(handle, CURLOPT_SOCKOPTDATA, place);
    curl_easy_setopt(handle, CURLOPT_CLOSESOCKETFUNCTION, backupd_curl_closed);
    curl_easy_setopt(handle, CURLOPT_CLOSESOCKETDATA, place);
}
/* What was received is acknowledged now and not 40 ms later: see tcp(7), TCP_QUICKACK, which holds for once. */
static inline void backupd_curl_acknowledge(int descriptor) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}
/* The result of the transfer that ended, or -1 where none has. */
static inline int backupd_curl_result(CURLM *multi) {
    int left;
    CURLMsg *message = curl_multi_info_read(multi, &left);
    return message != NULL && message->msg == CURLMSG_DONE ? (int)message->data.result : -1;
}
