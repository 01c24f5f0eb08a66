//! The few files that pages load: one style, one script, one icon. All are part of the program.

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};

const FILES: [(&str, &str, &str); 3] = [
    ("/assets/style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("/assets/page.js", "text/javascript; charset=utf-8", include_str!("assets/page.js")),
    ("/assets/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

pub fn routes(cfg: &mut ServiceConfig) {
    for (path, media, text) in FILES {
        cfg.route(path, web::get().to(move || async move { HttpResponse::Ok().content_type(media).body(text) }));
    }
}
