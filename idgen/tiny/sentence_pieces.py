"""A small sentencepiece model in ChatGLM's layout (tokenizer.model): byte pairs learnt from English and Chinese words.

Any text can be written in it, the rest in bytes; the listed words take few tokens. Learning takes 0.02 s and gives the
same bytes every time.
"""

from io import BytesIO
from pathlib import Path

import sentencepiece
from diffusers.pipelines.kolors import ChatGLMTokenizer

from idgen.tiny.tokenizer import WORDS

CHINESE = """
一 个 位 名 张 只 件 条 顶 副 双 的 在 里 上 下 中 前 旁 和 与 着 了 一个 一位 一名 一张 人 人物 女人 男人 女士
先生 女孩 男孩 女性 男性 老人 孩子 模特 青年 年轻 照片 肖像 人像 写真 画像 油画 水彩 插画 素描 全身 半身 特写
近景 远景 正面 侧面 背景 纯色 简洁 摄影 棚拍 电商 商品 产品 时尚 杂志 封面 海报 目录 穿着 戴着 拿着 坐在 站在
走在 看着 身穿 手持 倚靠 跳舞 跑步 行走 阅读 喝咖啡 红色 橙色 黄色 绿色 蓝色 紫色 粉色 白色 黑色 灰色 棕色 米色
金色 银色 彩色 深色 浅色 外套 大衣 夹克 西装 衬衫 毛衣 卫衣 裙子 连衣裙 长裙 短裙 旗袍 汉服 礼服 晚礼服 牛仔裤
裤子 帽子 围巾 眼镜 墨镜 鞋子 靴子 手套 领带 耳环 项链 亚麻 羊毛 丝绸 棉质 皮革 牛仔 夏季 冬季 春天 夏天 秋天
冬天 城市 街道 街头 花园 公园 森林 树林 海滩 海边 大海 湖边 高山 雪山 沙漠 田野 草地 草原 河边 桥上 市场 集市
咖啡馆 咖啡店 厨房 图书馆 书店 博物馆 办公室 教室 房间 客厅 卧室 窗边 阳台 火车 车站 地铁 机场 小镇 古镇 胡同
天空 夜空 星空 云朵 阳光 晨光 夕阳 日落 日出 黄昏 清晨 早晨 夜晚 夜景 雨天 雪天 雾气 柔和 明亮 温暖 自然 光线
灯光 霓虹 霓虹灯 阴影 逆光 微笑 笑容 大笑 开心 严肃 沉思 平静 惊讶 悲伤 生气 表情 眼神 头发 长发 短发 卷发 胡子
高清 高质量 细节 精致 电影感 复古 现代 优雅 可爱 低质量 低分辨率 模糊 糟糕 畸形 残缺 脸部 手指 招牌 写着 文字
欢迎 光临 上面 你好 花 树 猫 狗 花朵 鲜花 木头 石头 玻璃 金属 大理石 砖墙
"""
SIGNS = "，。、：；！？“”《》（）,.:;!?\"'()-0123456789"
PIECES = 1600


def write(folder: Path) -> ChatGLMTokenizer:
    """Write the tokenizer's files into `folder`, and return the tokenizer read from them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(learn())
    tokenizer = ChatGLMTokenizer(str(folder / "tokenizer.model"))
    tokenizer.save_pretrained(folder)
    return tokenizer


def learn() -> bytes:
    """Return the model: ids 0 to 2 are <unk>, <s>, </s>, then 256 bytes, then pieces."""
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        # Chinese has no spaces: signs between the words let them be learnt without a leading one
        sentence_iterator=iter([*WORDS.split(), "，".join(CHINESE.split()), " ".join(SIGNS)]),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def padded_vocabulary(tokenizer: ChatGLMTokenizer) -> int:
    """Return how many embeddings a text encoder has: a multiple of 64 with room for every token, as the real one."""
    tokens: int = tokenizer.vocab_size
    return -(-tokens // 64) * 64
